import type { LockEvent } from '../../../functions/lib/events.ts'

/** A change of verdict as one line for whoever sits at the terminal; undefined where nobody has to know. */
export function lockNews(event: LockEvent): string | undefined {
  const { verdict, before, cluster, object, addresses, who, lock, place } = event
  const of = object === undefined ? (addresses[0] ?? place) : `${object} in ${cluster}`
  if (verdict === 'free' && (before === 'suspect' || before === 'stale')) return `The lock of ${of} is gone.`
  if (verdict !== 'suspect' && verdict !== 'stale') return undefined
  const how = verdict === 'stale' ? 'is stale: its holder is dead' : 'is suspect: its holder may be dead'
  const held = who ? `, held by ${who},` : ''
  return `The lock of ${of}${held} ${how}. Why: npm run locks -- explain ${lock.slice(0, 8) || place}`
}
