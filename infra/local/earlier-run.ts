import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Push, pushSchema } from '../../functions/lib/push.ts'
import { DirectoryExecutionStore } from './states/directory-execution-store.ts'
import type { ExecutionRecord } from './states/execution-store.ts'
import { statusAfter } from './states/history.ts'

/** What an earlier run over the same directory left. */
export interface EarlierRun {
  /** The latest time in it, in milliseconds since the epoch: time must not run backwards. */
  readonly latest: number
  /** Pushes in the order of their start. */
  readonly pushes: readonly { readonly push: Push; readonly running: boolean }[]
}

/** Undefined where nothing ran before. Throws ExecutionStoreUnreadable. */
export function readEarlierRun(directory: string): EarlierRun | undefined {
  const executions = join(directory, 'executions')
  if (!existsSync(executions)) return undefined
  const kept = new DirectoryExecutionStore(executions).load()
  if (kept.length === 0) return undefined
  return {
    latest: kept.flatMap((records) => records.map(timeOf)).reduce((latest, time) => Math.max(latest, time), 0),
    pushes: kept.flatMap((records) => pushOf(records) ?? []),
  }
}

function timeOf(record: ExecutionRecord): number {
  if (record.type === 'started') return record.startedAt
  return record.type === 'step' ? Date.parse(record.events.at(-1)?.timestamp ?? '') || 0 : 0
}

function pushOf(records: readonly ExecutionRecord[]): EarlierRun['pushes'][number] | undefined {
  const [started] = records
  if (started?.type !== 'started' || started.machine !== 'fleet') return undefined
  const push = pushSchema.safeParse(JSON.parse(started.input))
  const events = records.flatMap((record) => (record.type === 'step' ? record.events : []))
  return push.success ? { push: push.data, running: statusAfter(events.at(-1)) === 'RUNNING' } : undefined
}
