import { shortened } from '../flux/told.ts'
import type { Observation } from '../locks/scan/observation.ts'

/**
 * What an object waits for that has met a lock, as people read it: who holds the lock, since when, with which operation,
 * and what is thought of it. `lock` is the ID that its controller has seen, or empty; `known` is what the scans know of
 * the lock of its state, which may be another one by now.
 */
export function lockWait(lock: string, known: Observation | undefined): string {
  const record = known?.evidence.lock.record
  const { verdict, reasons = [] } = known?.judgement ?? {}
  if (!known || verdict === 'free') return shortened(`waits for the state lock${lock && ` ${lock}`}`)
  const thought = `it is ${verdict}: ${reasons[0] ?? ''}`
  if (!record) return shortened(`waits for the state lock, nobody can tell whose; ${thought}`)
  const operation = record.operation.replace(/^OperationType/, '').toLowerCase() || 'an unknown operation'
  const since = record.createdAt === undefined ? '' : ` since ${new Date(record.createdAt).toISOString()}`
  return shortened(`waits for the state lock of ${record.user}@${record.host} (${operation})${since}; ${thought}`)
}
