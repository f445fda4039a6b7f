import type { z } from 'zod'
import type { Clock } from './clock.ts'
import { LockstepError } from './errors.ts'
import type { Fleet } from './fleet.ts'
import type { ClusterAccess } from './kubernetes/cluster-access.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { Log } from './log.ts'

/** What a step may use. Domain functions get the ones that they need. */
export interface Ports {
  readonly clock: Clock
  readonly fleet: Fleet
  readonly ledger: Ledger
  readonly clusters: ClusterAccess
  readonly log: Log
  /** How long a step that waits may take before it answers with what it has seen, in milliseconds. */
  readonly sliceMs: number
}

/** One step of a state machine: its contract and what it does. */
export interface Step<Input, Output> {
  readonly name: string
  readonly input: z.ZodType<Input>
  readonly output: z.ZodType<Output>
  readonly run: (input: Input, ports: Ports) => Promise<Output>
}

/** A step as anything that invokes it sees it: JSON in, JSON out. */
export type Invocation = (payload: unknown) => Promise<unknown>

/** The state machine passed what the step's contract does not allow: the two were deployed apart. */
export class StepInputInvalid extends LockstepError {
  constructor(step: string, error: z.ZodError) {
    const fields = error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    super('StepInputInvalid', `Step ${step} was called with input that it does not accept: ${fields}.`, 'Deploy again.')
  }
}

/** Declares a step; keeps its types together. */
export function defineStep<Input, Output>(step: Step<Input, Output>): Step<Input, Output> {
  return step
}

/** Binds a step to its ports: parses the input, runs it, checks the output. */
export function bindStep<Input, Output>(step: Step<Input, Output>, ports: () => Ports): Invocation {
  return async (payload) => {
    const input = step.input.safeParse(payload)
    if (!input.success) throw new StepInputInvalid(step.name, input.error)
    return step.output.parse(await step.run(input.data, ports()))
  }
}
