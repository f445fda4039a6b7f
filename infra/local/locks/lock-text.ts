import { formatDuration } from '../../../functions/lib/duration.ts'
import { explanationLines, operationText } from '../../../functions/lib/locks/explain.ts'
import { planLines } from '../../../functions/lib/unlock/plan/unlock-plan-text.ts'
import { printable } from '../display/terminal-text.ts'
import type { LockFinding, LockLine } from '../views/lock-view.ts'
import type { LockAnswer, LocksAnswer, UnlockAnswer } from './locks-client.ts'

/** All locks as lines for a person, safe to print. */
export function listLines({ locks, findings, scannedAt, overdue, now }: LocksAnswer): string[] {
  const late = overdue ? ' No scan has ended since, although one should have: this may not be so any more.' : ''
  const looked = scannedAt === undefined ? 'No scan has ended yet.' : `Looked at ${ago(now - scannedAt)} ago.${late}`
  return [
    ...(locks.length === 0 ? ['No lock is held.'] : table(locks.map((lock) => row(lock, now)))),
    ...(findings.length === 0 ? [] : ['', 'Beside the locks:', ...findings.map(findingLine)]),
    '',
    looked,
    ...(locks.length === 0 ? [] : ['Why: npm run locks -- explain ID']),
  ].map(printable)
}

/** One lock as lines for a person, safe to print. */
export function showLines({ lock, now }: LockAnswer): string[] {
  const { evidence, offences } = lock.observation
  const { record } = evidence.lock
  const facts: [string, string | undefined][] = [
    ['Lock', lock.id ?? (evidence.lock.parts.length === 0 ? 'none' : 'without a record that can be read')],
    ['Object', lock.object && `${lock.object} in ${lock.cluster}`],
    ...lock.addresses.map((address): [string, string] => ['Where', address]),
    ['Held by', lock.who],
    ['For', record && operationText(record.operation)],
    ['Program', record?.version],
    ['Taken', record && `${record.created}, by the holder's clock`],
    ['Verdict', `${lock.verdict}${lock.scene ? `, a ${lock.scene}` : ''}, for ${ago(now - lock.since)}`],
    ['Rule', lock.rule],
    ...lock.reasons.map((reason): [string, string] => ['Because', reason]),
    ['Seen', `${ago(now - lock.seenAt)} ago`],
    ['Stale', offences.length > 1 ? `${offences.length} times in 90 days` : undefined],
    ['Key', lock.key],
  ]
  return facts.flatMap(([name, value]) => (value ? [printable(`${name.padEnd(8)} ${value}`)] : []))
}

/** Why one lock is thought to be what it is, safe to print. */
export function explainLines({ lock, now }: LockAnswer): string[] {
  return [...explanationLines(lock.explanation), '', `Looked at ${ago(now - lock.seenAt)} ago.`].map(printable)
}

/** What an unlock would do, safe to print. */
export function unlockLines({ unlock, now }: UnlockAnswer): string[] {
  const looked = `The lock was looked at ${ago(now - unlock.seenAt)} ago. Nothing was changed: this is a dry run.`
  return [...planLines(unlock.plan), '', looked].map(printable)
}

const titles = ['VERDICT', 'FOR', 'LOCK', 'OF', 'HELD BY', 'OPERATION']

function row(lock: LockLine, now: number): string[] {
  const place = lock.object ? `${lock.object} in ${lock.cluster}` : (lock.addresses[0] ?? lock.key)
  return [
    lock.verdict,
    ago(now - lock.since),
    lock.id?.slice(0, 8) ?? '-',
    place,
    lock.who || '-',
    lock.operation === undefined ? '-' : operationText(lock.operation),
  ]
}

function table(rows: readonly string[][]): string[] {
  const lines = [titles, ...rows]
  const widths = titles.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)))
  return lines.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function findingLine({ subject, cluster, why }: LockFinding): string {
  return `  ${cluster === undefined ? subject : `${subject} in ${cluster}`}: ${why}`
}

const ago = (ms: number) => formatDuration(Math.max(0, ms))
