import * as z from 'zod'

/**
 * What a controller asks of a runner program. Every call but `init` names the session that init opened: a program that
 * started afresh has none, and refuses.
 */
export const runnerRequestSchema = z.discriminatedUnion('method', [
  z.object({
    method: z.literal('init'),
    instance: z.string(),
    /** The Terraform object. */
    object: z.looseObject({
      apiVersion: z.string(),
      kind: z.string(),
      metadata: z.looseObject({
        name: z.string(),
        namespace: z.string(),
        uid: z.string(),
        annotations: z.record(z.string(), z.string()).default({}),
      }),
    }),
    revision: z.string(),
    /** Where the source's files are, for a runner that needs them. */
    artifact: z.looseObject({ url: z.string(), digest: z.string() }),
  }),
  z.object({ method: z.literal('forceUnlock'), instance: z.string(), lockId: z.string() }),
  z.object({ method: z.literal('plan'), instance: z.string(), purpose: z.enum(['apply', 'drift']) }),
  z.object({ method: z.literal('savePlan'), instance: z.string(), plan: z.string() }),
  z.object({ method: z.literal('loadPlan'), instance: z.string(), plan: z.string() }),
  z.object({ method: z.literal('apply'), instance: z.string() }),
  z.object({ method: z.literal('outputs'), instance: z.string() }),
])

export type RunnerRequest = z.infer<typeof runnerRequestSchema>
export type InitRequest = Extract<RunnerRequest, { method: 'init' }>

export interface RunnerReply {
  /** Of `plan`. */
  readonly changes?: boolean
}

/** A connection to the runner program at one address. One call is one attempt. */
export interface RunnerConnection {
  /**
   * Throws RunnerFailure when the program refuses or fails, Unreachable when nothing answers at the address, and
   * Disconnected when the connection broke after the request went out. An abort ends the call for both sides.
   */
  call(request: RunnerRequest, signal: AbortSignal): Promise<RunnerReply>
  close(): void
}

/** How a controller reaches the runner program of a pod. */
export interface RunnerNetwork {
  connect(address: PodAddress): RunnerConnection
}

export interface PodAddress {
  readonly namespace: string
  readonly ip: string
}

/** The runner answered that something went wrong, with a message as gRPC prints it. */
export class RunnerFailure extends Error {
  override readonly name = 'RunnerFailure'
  /** The id of the lock that was in the way; '' when the lock did not tell. Undefined when it was no lock. */
  readonly lockId: string | undefined

  constructor(message: string, lockId?: string) {
    super(message)
    this.lockId = lockId
  }
}

export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

export class Disconnected extends Error {
  override readonly name = 'Disconnected'
}
