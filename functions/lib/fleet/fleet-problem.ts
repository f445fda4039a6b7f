import { LockstepError } from '../errors.ts'

/** One mistake in a fleet. */
export interface FleetProblem {
  /** Where: `clusters[1].after[0]`; empty for the fleet as a whole. */
  readonly path: string
  /** What is wrong and what would be right, in one sentence without a full stop. */
  readonly message: string
}

/** Every mistake of a fleet at once. */
export class FleetInvalid extends LockstepError {
  readonly problems: readonly FleetProblem[]

  constructor(problems: readonly FleetProblem[]) {
    const lines = problems.map(({ path, message }) => `  ${path || 'lockstep'}: ${message}`)
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
    super(
      'FleetInvalid',
      `The fleet has ${count}:\n${lines.join('\n')}\n`,
      'Correct them where the fleet is written: context "lockstep" of cdk.json, or the file that was given.',
    )
    this.problems = problems
  }
}

/** Limits a leaf's message to what fits on a line, whatever was written there. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
