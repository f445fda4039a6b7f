import { formatDuration } from '../duration.ts'
import { type Evidence, type Piece, type PodEvidence, pieceNames, readingOf } from './evidence.ts'
import type { Observation } from './scan/observation.ts'
import { ageOf } from './verdict/lock-age.ts'
import { type LockLimits, minimumAgeOf } from './verdict/lock-limits.ts'
import type { Judgement } from './verdict/verdict.ts'

/** A line of the table: what was looked at, what was found, where and when. */
export interface EvidenceLine {
  readonly what: string
  readonly found: string
  readonly source: string
  /** Milliseconds since the epoch. */
  readonly readAt: number
}

/** Why a lock is thought to be what it is, for a person who has to decide. */
export interface Explanation {
  /** Who holds what since when, in a sentence. */
  readonly banner: string
  readonly verdict: Judgement['verdict']
  readonly rule: string
  readonly scene?: Judgement['scene']
  readonly reasons: readonly string[]
  readonly wouldChange: string
  readonly evidence: readonly EvidenceLine[]
  /** What a person could do now. */
  readonly nextStep: string
}

export interface ExplainOptions {
  readonly limits: LockLimits
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** Explains what the latest scan found. Nothing in it is secret: no state, no digest. */
export function explain(
  { evidence, judgement, verdictSince, offences }: Observation,
  options: ExplainOptions,
): Explanation {
  const { verdict, rule, reasons, wouldChange, scene } = judgement
  const since = formatDuration(Math.max(0, options.now - verdictSince))
  const often = offences.length > 1 ? [`locks of this state have been stale ${offences.length} times in 90 days`] : []
  return {
    banner: bannerOf(evidence),
    ...{ verdict, rule, ...(scene && { scene }), wouldChange },
    reasons: [...reasons, `${verdict} since ${since}`, ...often],
    evidence: [...lockLines(evidence, options.limits), ...pieceNames.map((name) => pieceLine(name, evidence))],
    nextStep: nextStep(evidence, judgement),
  }
}

/** The explanation as text, a line an entry. */
export function explanationLines(explanation: Explanation): string[] {
  const { banner, verdict, scene, rule, reasons, evidence, wouldChange, nextStep } = explanation
  const widest = Math.max(...evidence.map(({ what }) => what.length))
  return [
    banner,
    '',
    `Verdict: ${verdict}${scene ? `, a ${scene}` : ''} (rule ${rule})`,
    ...reasons.map((reason) => `  - ${reason}`),
    `It changes when: ${wouldChange}.`,
    '',
    'Evidence:',
    ...evidence.flatMap(({ what, found, source, readAt }) => [
      `  ${what.padEnd(widest)}  ${found}`,
      `  ${''.padEnd(widest)}  (${source}, ${clockText(readAt)})`,
    ]),
    '',
    `Next: ${nextStep}`,
  ]
}

function bannerOf({ lock, owner, sight }: Evidence): string {
  const of = owner ? `${owner.object} in ${owner.cluster}` : (lock.parts[0]?.address ?? 'a state')
  if (lock.parts.length === 0) return `The state of ${of} is not locked.`
  const { record } = lock
  if (!record)
    return `The state of ${of} is locked, and nobody can tell by whom: the record ${lock.problem ?? 'is missing'}.`
  const who = [record.user, record.host].filter(Boolean).join('@') || 'somebody without a name'
  const when = record.createdAt === undefined ? `at a time it does not tell` : clockText(record.createdAt)
  const seen = `first seen ${clockText(sight.firstSeenAt)}`
  return `The state of ${of} is locked by ${who} for ${operationText(record.operation)}, taken ${when} by its own clock, ${seen}. Lock ${record.id}.`
}

const operations: Readonly<Record<string, string>> = {
  OperationTypeApply: 'an apply',
  OperationTypePlan: 'a plan',
  OperationTypeRefresh: 'a refresh',
  OperationTypeInvalid: 'a command that names no operation (console, import, show)',
}

/** An operation as people say it: `an apply`. What is not known is quoted. */
export function operationText(operation: string): string {
  if (operation === '') return 'an operation that is not named'
  return operations[operation] ?? `"${operation}"`
}

function lockLines(evidence: Evidence, limits: LockLimits): EvidenceLine[] {
  const { at, lock, sight, holder } = evidence
  const { atLeast, skew, doubt } = ageOf(evidence)
  const minimum = formatDuration(minimumAgeOf(lock.record?.operation ?? '', limits))
  const parts = lock.parts.map(({ address, takenAt }) => ({
    what: 'lock',
    found: takenAt === undefined ? 'held' : `held; taken ${clockText(takenAt)} by the store's clock`,
    source: address,
    readAt: at,
  }))
  const age = [
    `at least ${formatDuration(atLeast)}, of ${minimum} that its operation needs`,
    ...(skew === undefined ? [] : [`the holder's clock is ${skewText(skew)}`]),
    ...(doubt === undefined ? [] : [`Created does not count: ${doubt}`]),
  ]
  const quiet = [
    `lock and state unchanged since ${clockText(sight.unchangedSince)}`,
    sight.deadSince === undefined ? 'no proof of death yet' : `proof of death since ${clockText(sight.deadSince)}`,
  ]
  const source = 'the lock record, the store and earlier scans'
  return [
    ...parts,
    { what: 'age', found: age.join('; '), source, readAt: at },
    { what: 'holder', found: 'runner' in holder ? `the runner ${holder.runner}` : holder.other, source, readAt: at },
    { what: 'quiet', found: quiet.join('; '), source: 'earlier scans', readAt: at },
  ]
}

function pieceLine(name: (typeof pieceNames)[number], evidence: Evidence): EvidenceLine {
  const { source, readAt } = evidence[name]
  return { what: name, found: unknownText(evidence[name]) ?? describe[name](evidence), source, readAt }
}

function unknownText({ reading }: Piece<unknown>): string | undefined {
  return 'unknown' in reading ? `unknown: ${reading.unknown}` : undefined
}

/** Only asked where the piece could be read. */
const describe: Record<(typeof pieceNames)[number], (evidence: Evidence) => string> = {
  pod: ({ pod }) => {
    const found = readingOf(pod)
    if (!found?.exists) return 'gone'
    const { uid, phase, createdAt, node, container, deletingSince } = found
    return [
      `${phase}, created ${clockText(createdAt)}, UID ${uid}`,
      ...(node === undefined ? [] : [`on ${node}`]),
      ...(deletingSince === undefined ? [] : [`being deleted since ${clockText(deletingSince)}`]),
      ...(container ? [containerText(container)] : ['the kubelet has said nothing of its container']),
    ].join('; ')
  },
  nodes: ({ nodes }) => {
    const found = readingOf(nodes)
    const own = found?.own ? `${found.own.name} is ${found.own.state}` : 'no node is known to have the pod'
    const silent = found?.silent.map(({ name }) => name) ?? []
    const others = silent.length === 0 ? `all ${found?.total} answer` : `silent: ${silent.slice(0, 5).join(', ')}`
    return `${own}; ${others}`
  },
  controller: ({ controller }) => {
    const found = readingOf(controller)
    if (found?.deployment === undefined) return 'there is no tofu-controller'
    const { leader } = found
    const lead = leader
      ? `leader ${leader.holder}, renewed ${clockText(leader.renewedAt)} (lease ${formatDuration(leader.leaseMs)})`
      : 'no leader'
    return `${found.ready} of ${found.replicas} ready; ${lead}`
  },
  object: ({ object }) => {
    const found = readingOf(object)
    if (!found?.exists) return 'gone'
    return [
      `Ready ${found.ready}${found.reason ? ` ${found.reason}` : ''}${found.message ? `: "${found.message}"` : ''}`,
      ...(found.suspended ? ['suspended'] : []),
      ...(found.reconciling ? ['reconciling'] : []),
      found.stateLocked ? `StateLocked${found.pendingLock ? ` by ${found.pendingLock}` : ''}` : 'not StateLocked',
    ].join('; ')
  },
  state: ({ state }) => {
    const found = readingOf(state)
    if (!found?.exists) return 'there is none yet'
    const serial = found.serial === undefined ? '' : `serial ${found.serial}, `
    const modified = found.modifiedAt === undefined ? '' : `, written ${clockText(found.modifiedAt)}`
    return `${serial}${found.sizeBytes} bytes, version ${found.version}${modified}`
  },
}

type Container = NonNullable<Extract<PodEvidence, { exists: true }>['container']>

function containerText({ state, startedAt, finishedAt, restarts }: Container): string {
  const times = [
    ...(startedAt === undefined ? [] : [`started ${clockText(startedAt)}`]),
    ...(finishedAt === undefined
      ? []
      : [`${state === 'terminated' ? 'ended' : 'the one before ended'} ${clockText(finishedAt)}`]),
    ...(restarts === 0 ? [] : [`${restarts} restart${restarts === 1 ? '' : 's'}`]),
  ]
  return [`container ${state}`, ...times].join(', ')
}

function nextStep({ holder, lock, owner, object }: Evidence, { verdict, rule, scene }: Judgement): string {
  const name = owner?.object.split('/').at(-1)
  switch (verdict) {
    case 'free':
      return 'Nothing.'
    case 'live':
      if (scene === 'live orphan') return 'Let the runner finish; start tofu-controller again only after that.'
      return 'Let it finish.'
    case 'stale': {
      const hangs = scene === 'silent ghost' ? ' Its run hangs in tofu-controller until that is started again.' : ''
      return `Unlock it under guard: stop whatever could run the object (suspend ${name ?? 'it'}) and look again; see that the lock is still ${lock.record?.id}; keep a copy of the state; take the lock away (an item of a table before a lock file, never the item that ends in -md5; of a Lease only its holder and its annotation); clear status.lock.pending and status.plan.pending; resume with a fresh plan.${hangs}`
    }
    case 'unknown':
      return rule === 'unreadable-record'
        ? 'Look at the lock where it is kept, and find out who wrote it.'
        : 'Make readable what could not be read (see the evidence), then look again.'
    case 'suspect': {
      if ('other' in holder && lock.record?.host.endsWith('-tf-runner')) {
        return `Find out whose runner took it: ${holder.other}.`
      }
      if ('other' in holder) {
        const who = [lock.record?.user, lock.record?.host].filter(Boolean).join('@') || 'whoever took it'
        return `Ask ${who} whether it still works; only they can tell.`
      }
      const suspended = readingOf(object)
      if (rule === 'node-silent' || rule === 'node-does-not-answer')
        return 'Bring the node back. Or see that its machine is terminated, and delete the Node only after that.'
      if (rule.startsWith('dead-but')) return 'Wait: it is looked at again by itself.'
      const hold = suspended?.exists && suspended.suspended ? '' : `suspend ${name ?? 'the object'}, `
      return `Nothing proves that its holder is dead: ${hold}let a running apply end, and see its pod gone.`
    }
  }
}

function skewText(ms: number): string {
  if (Math.abs(ms) < 1_000) return 'right'
  return `${formatDuration(Math.abs(ms))} ${ms > 0 ? 'ahead' : 'behind'}`
}

function clockText(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}
