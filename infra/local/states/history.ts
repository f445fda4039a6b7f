import * as z from 'zod'

const text = z.string().optional()
const failure = z.object({ error: text, cause: text }).optional()
const data = z.object({ truncated: z.boolean() }).optional()
const resource = { resourceType: z.string(), resource: z.string() }
const iteration = z.object({ name: z.string(), index: z.number() }).optional()

/**
 * One event of an execution's history, in the shape of GetExecutionHistory; only the details that belong to its type
 * are there. Task tokens are blotted out of what is kept.
 */
export const historyEvent = z.object({
  /** 1, 2, 3, ... */
  id: z.int(),
  /** The event that led to this one; 0 at the start. Within a Map each iteration is a chain of its own. */
  previousEventId: z.int(),
  /** ISO 8601. */
  timestamp: z.string(),
  /** Such as `TaskStateEntered`. */
  type: z.string(),
  executionStartedEventDetails: z.object({ input: z.string(), inputDetails: data, roleArn: z.string() }).optional(),
  executionSucceededEventDetails: z.object({ output: z.string(), outputDetails: data }).optional(),
  executionFailedEventDetails: failure,
  executionAbortedEventDetails: failure,
  executionTimedOutEventDetails: failure,
  stateEnteredEventDetails: z.object({ name: z.string(), input: z.string(), inputDetails: data }).optional(),
  stateExitedEventDetails: z.object({ name: z.string(), output: z.string(), outputDetails: data }).optional(),
  taskScheduledEventDetails: z
    .object({
      ...resource,
      region: z.string(),
      parameters: z.string(),
      timeoutInSeconds: z.number().optional(),
      heartbeatInSeconds: z.number().optional(),
    })
    .optional(),
  taskStartedEventDetails: z.object(resource).optional(),
  taskSubmittedEventDetails: z.object({ ...resource, output: z.string(), outputDetails: data }).optional(),
  taskSucceededEventDetails: z.object({ ...resource, output: z.string(), outputDetails: data }).optional(),
  taskFailedEventDetails: z.object({ ...resource, error: text, cause: text }).optional(),
  taskTimedOutEventDetails: z.object({ ...resource, error: text, cause: text }).optional(),
  mapStateStartedEventDetails: z.object({ length: z.number() }).optional(),
  mapRunStartedEventDetails: z.object({ mapRunArn: z.string() }).optional(),
  mapRunFailedEventDetails: failure,
  mapIterationStartedEventDetails: iteration,
  mapIterationSucceededEventDetails: iteration,
  mapIterationFailedEventDetails: iteration,
  mapIterationAbortedEventDetails: iteration,
  evaluationFailedEventDetails: z.object({ error: text, cause: text, location: text, state: z.string() }).optional(),
})

export type HistoryEvent = z.infer<typeof historyEvent>

/** An event before it has its place in a history. */
export type EventBody = Omit<HistoryEvent, 'id' | 'previousEventId' | 'timestamp'>

/** Nothing is ever cut from our histories. */
export const whole = { truncated: false }

/** The names of the states that an execution entered, in order; those of Map iterations come as they happened. */
export function statesEntered(history: readonly HistoryEvent[]): string[] {
  return history.flatMap(({ stateEnteredEventDetails }) =>
    stateEnteredEventDetails ? [stateEnteredEventDetails.name] : [],
  )
}

const statuses: Readonly<Record<string, ClosedStatus>> = {
  ExecutionSucceeded: 'SUCCEEDED',
  ExecutionFailed: 'FAILED',
  ExecutionAborted: 'ABORTED',
  ExecutionTimedOut: 'TIMED_OUT',
}

export type ClosedStatus = 'SUCCEEDED' | 'FAILED' | 'ABORTED' | 'TIMED_OUT'
export type ExecutionStatus = 'RUNNING' | ClosedStatus

/** What an execution's last event says about it. */
export function statusAfter(event: Pick<HistoryEvent, 'type'> | undefined): ExecutionStatus {
  return statuses[event?.type ?? ''] ?? 'RUNNING'
}
