import { LockstepError } from '../../../functions/lib/errors.ts'

/** One thing that is wrong with a definition, and where: `States/Plan/Next`. */
export interface Problem {
  readonly path: string
  readonly message: string
}

/** A definition that the interpreter does not run, with everything that is wrong with it. */
export class DefinitionInvalid extends LockstepError {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ path, message }) => `\n  ${path || '(document)'}: ${message}`)
    super(
      'DefinitionInvalid',
      `The state machine has ${problems.length} problem(s):${lines.join('')}\n`,
      'Correct them.',
    )
    this.problems = problems
  }
}
