import type * as z from 'zod'
import type { Approvers } from './approval/approvers.ts'
import type { TaskTokens } from './approval/task-tokens.ts'
import type { Clock } from './clock.ts'
import { LockstepError } from './errors.ts'
import type { Events } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { ClusterAccess } from './kubernetes/cluster-access.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { LockAccess } from './locks/scan/lock-access.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Secrets } from './rotating-secret.ts'
import type { WaveStore } from './waves/wave-store.ts'

/** What every step may use. */
export interface Ports {
  readonly clock: Clock
  readonly fleet: Fleet
  readonly ledger: Ledger
  readonly log: Log
  readonly events: Events
  readonly metrics: Metrics
}

/** What a step may use that talks to clusters. */
export interface ClusterPorts extends Ports {
  readonly clusters: ClusterAccess
  /** How long a step that waits may take before it answers with what it has seen, in milliseconds. */
  readonly sliceMs: number
}

/** What a step may use that looks at the fleet's lock tables and buckets. */
export interface StorePorts extends Ports {
  readonly locks: LockAccess
}

/** What a step may use that looks at locks of clusters' objects. */
export interface LockPorts extends ClusterPorts, StorePorts {}

/** What a step may use that asks people. */
export interface AskPorts extends Ports {
  readonly tasks: TaskTokens
  readonly approvers: Approvers
  /** Links are signed with it. */
  readonly linkSecrets: () => Promise<Secrets>
  /** Of the page, to which the end of a link is added: `https://…/approve/`. */
  readonly approvalUrl: string
}

/** What a step may use that asks people about something in a cluster. */
export interface ApprovalPorts extends ClusterPorts, AskPorts {}

/** What a step of a fleet's waves may use. */
export interface WavePorts extends Ports {
  readonly waves: WaveStore
}

/** One step of a state machine: its contract and what it does. */
export interface Step<Input, Output, Needs extends Ports> {
  readonly name: string
  readonly input: z.ZodType<Input>
  readonly output: z.ZodType<Output>
  readonly run: (input: Input, ports: Needs) => Promise<Output>
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

/** Declares a step that needs no cluster. */
export function defineStep<Input, Output>(step: Step<Input, Output, Ports>): Step<Input, Output, Ports> {
  return step
}

/** Declares a step that talks to clusters. */
export function defineClusterStep<Input, Output>(
  step: Step<Input, Output, ClusterPorts>,
): Step<Input, Output, ClusterPorts> {
  return step
}

/** Declares a step that looks at the fleet's lock tables and buckets, and at no cluster. */
export function defineStoreStep<Input, Output>(step: Step<Input, Output, StorePorts>): Step<Input, Output, StorePorts> {
  return step
}

/** Declares a step that looks at locks of clusters' objects. */
export function defineLockStep<Input, Output>(step: Step<Input, Output, LockPorts>): Step<Input, Output, LockPorts> {
  return step
}

/** Declares a step of a fleet's waves. */
export function defineWaveStep<Input, Output>(step: Step<Input, Output, WavePorts>): Step<Input, Output, WavePorts> {
  return step
}

/** Binds a step to its ports: parses the input, runs it, checks the output. */
export function bindStep<Input, Output, Needs extends Ports>(
  step: Step<Input, Output, Needs>,
  ports: () => Needs,
): Invocation {
  return async (payload) => {
    const input = step.input.safeParse(payload)
    if (!input.success) throw new StepInputInvalid(step.name, input.error)
    return step.output.parse(await step.run(input.data, ports()))
  }
}
