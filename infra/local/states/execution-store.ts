import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import { historyEvent } from './history.ts'
import type { Json } from './jsonata-expression.ts'

const json = z.custom<Json>((value) => value !== undefined)

/** Where a run of states stands: enough to run its current state again. Times in milliseconds since the epoch. */
export const position = z.object({
  state: z.string(),
  input: json,
  /** What Assign has set. */
  variables: z.record(z.string(), json),
  /** How many states were entered before and with this one; tells apart visits of the same state. */
  visit: z.int(),
  enteredAt: z.number(),
  /** Retries so far, per retrier. */
  retries: z.array(z.int()),
  /** When the current attempt began, or begins: deadlines count from here. */
  attemptAt: z.number(),
})
export type Position = z.infer<typeof position>

export const taskOutcome = z.union([z.object({ output: json }), z.object({ error: z.string(), cause: z.string() })])
/** How a task with a token ended. */
export type TaskOutcome = z.infer<typeof taskOutcome>

/** The attempt of a task that started an execution. Whoever is not awaited goes on when that attempt is over. */
const startedBy = z.object({ executionArn: z.string(), task: z.string(), awaited: z.boolean().default(true) })
export type StartedBy = z.infer<typeof startedBy>

/** One line of what is kept of an execution. */
export const executionRecord = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('started'),
    executionArn: z.string(),
    machine: z.string(),
    name: z.string(),
    /** JSON text. */
    input: z.string(),
    startedAt: z.number(),
    startedBy: startedBy.optional(),
  }),
  z.object({
    type: z.literal('step'),
    /** They happened together: kept whole or not at all. */
    events: z.array(historyEvent),
    /** State transitions so far, retries included. */
    transitions: z.int(),
    /** The newest one is where the execution goes on. */
    checkpoint: position.optional(),
  }),
  /** A token was answered; the answer stands even when the task that waits is run again. */
  z.object({ type: z.literal('answer'), task: z.string(), outcome: taskOutcome }),
])
export type ExecutionRecord = z.infer<typeof executionRecord>
export type StartedRecord = Extract<ExecutionRecord, { type: 'started' }>

/** Where executions outlive the process. Writes are synchronous: what a call returned from is kept. */
export interface ExecutionStore {
  /** Signs task tokens; the same for as long as the store is. Never logged. */
  readonly tokenKey: Buffer
  /** The records of every execution that is kept; the execution that started first comes first. */
  load(): ExecutionRecord[][]
  /** Adds a record to an execution. Its first one is `started`. */
  append(executionArn: string, record: ExecutionRecord): void
  /** Drops an execution; nothing when it is not there. */
  forget(executionArn: string): void
}

/** Keeps executions for as long as this object lives. */
export class MemoryExecutionStore implements ExecutionStore {
  readonly tokenKey = randomBytes(32)
  private readonly executions = new Map<string, ExecutionRecord[]>()

  load(): ExecutionRecord[][] {
    return [...this.executions.values()].map((records) => structuredClone(records))
  }

  append(executionArn: string, record: ExecutionRecord): void {
    const records = this.executions.get(executionArn) ?? []
    records.push(structuredClone(record))
    this.executions.set(executionArn, records)
  }

  forget(executionArn: string): void {
    this.executions.delete(executionArn)
  }
}
