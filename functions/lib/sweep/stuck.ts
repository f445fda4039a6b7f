import { createHash } from 'node:crypto'
import * as z from 'zod'
import { formatDuration } from '../duration.ts'
import { type Fleet, layerDeadline } from '../fleet.ts'
import { type Condition, condition, timeOf } from '../flux/object.ts'
import type { Source } from '../flux/source.ts'
import { told } from '../flux/told.ts'
import type { Workload } from '../flux/workload.ts'
import type { Observation } from '../locks/scan/observation.ts'
import type { ScanReport } from '../locks/scan/scan-report.ts'
import { describe } from './describe.ts'
import type { Found } from './finding.ts'
import type { Unready } from './sweep-record.ts'
import type { SweptCluster, SweptWorkload } from './swept-cluster.ts'

export interface StuckOptions {
  readonly fleet: Fleet
  readonly now: number
  /** What the sweep before knew. */
  readonly unready: Unready
  readonly locks: KnownLocks
}

/** What the scans for locks know of the cluster. */
export interface KnownLocks {
  readonly observations: readonly Observation[]
  /** Of the latest scan, where there was one. */
  readonly report: ScanReport | undefined
}

export interface StuckObjects {
  readonly found: readonly Found[]
  /** For the next sweep. */
  readonly unready: Unready
}

/**
 * Objects that have not been Ready for longer than their layer may take, and those whose controllers have given up.
 * Controllers begin anew all the time (tofu-controller every 15 s), and each time the condition is a new one: so what
 * counts is also that no sweep has seen the object Ready since, at the same revision and generation.
 */
export function stuckObjects({ sources, workloads }: SweptCluster, options: StuckOptions): StuckObjects {
  const { fleet, now, locks } = options
  const found: Found[] = []
  const unready: Record<string, Unready[string]> = {}
  const look = (key: string, mark: string, since: number | undefined): number => {
    const known = options.unready[key]
    const before = known?.mark === mark ? known.since : now
    const from = Math.min(before, since ?? now, now)
    unready[key] = { since: from, mark }
    return from
  }
  for (const { raw, workload } of workloads.values()) {
    const stalled = condition(workload.conditions, 'Stalled')
    if (workload.suspended) continue
    if (stalled?.status === 'True' && !workload.deleting) found.push(stalledObject(workload, stalled))
    else if (isWaitedFor(workload)) {
      const deadline = layerDeadline(fleet, workload.layer)
      const since = look(workload.key, markOf(workload), unreadySince(raw, workload))
      if (now - since > deadline) found.push(stuckObject({ raw, workload }, { since, deadline, locks }))
    }
  }
  for (const source of sources.values()) {
    if (source.suspended || isReady(source.conditions)) continue
    const { layer: deadline } = fleet.deadlines
    const ready = condition(source.conditions, 'Ready')
    const since = look(source.key, '', timeOf(ready?.lastTransitionTime))
    if (now - since > deadline) found.push(stuckSource(source, ready, { since, deadline }))
  }
  return { found, unready }
}

/** A plan that waits for a person is not stuck. */
function isWaitedFor({ deleting, conditions }: Workload): boolean {
  if (deleting) return true
  if (condition(conditions, 'Ready')?.reason === 'TerraformPlannedWithChanges') return false
  return conditions.length > 0 && !isReady(conditions)
}

function isReady(conditions: readonly Condition[]): boolean {
  return condition(conditions, 'Ready')?.status === 'True' && condition(conditions, 'Reconciling')?.status !== 'True'
}

/** As long as these are the same, the object has come no further. */
function markOf({ uid, generation, lastAttemptedRevision = '', lastAppliedRevision = '' }: Workload): string {
  const state = JSON.stringify([uid, generation, lastAttemptedRevision, lastAppliedRevision])
  return createHash('sha256').update(state).digest('hex').slice(0, 12)
}

const deletionSchema = z.object({ metadata: z.object({ deletionTimestamp: z.string() }) })

function unreadySince(raw: unknown, { conditions, deleting }: Workload): number | undefined {
  if (deleting) return timeOf(deletionSchema.safeParse(raw).data?.metadata.deletionTimestamp)
  const reconciling = condition(conditions, 'Reconciling')
  const about = reconciling?.status === 'True' ? reconciling : condition(conditions, 'Ready')
  return timeOf(about?.lastTransitionTime)
}

/** At the end, since it may be long: what to do must not be what is cut off. */
function said(about: Condition | undefined): string {
  return about ? `(It says: ${told(about)})` : ''
}

interface Lateness {
  readonly since: number
  /** In milliseconds. */
  readonly deadline: number
}

function stalledObject({ key }: Workload, stalled: Condition): Found {
  const since = timeOf(stalled.lastTransitionTime)
  return {
    ...{ kind: 'stalled', object: key, ...(since !== undefined && { since }) },
    text: `The controller of ${key} has given up (${stalled.reason}), and does nothing until something changes.`,
    next: `Mend in Git what it says; or have it tried again: ${retry(key)} ${said(stalled)}`,
  }
}

function retry(key: string): string {
  const [kind = '', namespace = '', name = ''] = key.split('/')
  if (kind === 'HelmRelease') return `flux -n ${namespace} reconcile helmrelease ${name} --reset`
  if (kind === 'Terraform') return `tfctl -n ${namespace} replan ${name}`
  return `flux -n ${namespace} reconcile kustomization ${name}`
}

function stuckObject(swept: SweptWorkload, { since, deadline, locks }: Lateness & Pick<StuckOptions, 'locks'>): Found {
  const { key, conditions } = swept.workload
  const ready = condition(conditions, 'Ready')
  const { why, next } = causeOf(swept, since, locks)
  return {
    ...{ kind: 'stuck', object: key, since },
    text: `${key} has not been Ready for longer than its layer may take (${formatDuration(deadline)})${why}.`,
    next: `${next} ${said(ready)}`.trim(),
  }
}

interface Cause {
  /** Goes on from a sentence: it begins with a colon, or is empty. Only what stays the same while nothing changes. */
  readonly why: string
  readonly next: string
}

function causeOf({ raw, workload }: SweptWorkload, since: number, locks: KnownLocks): Cause {
  const { key, kind, deleting, conditions } = workload
  if (deleting) {
    return {
      why: ': it is being deleted, and something keeps it',
      next: `Look for its finalizers, and for what they wait for: ${describe(key)}`,
    }
  }
  const ready = condition(conditions, 'Ready')
  if (ready?.reason === 'DependencyNotReady') {
    return { why: ': what it depends on is not ready', next: `Look at what it waits for: ${describe(key)}` }
  }
  return kind === 'Terraform' ? causeOfRun({ raw, workload }, since, locks) : unknownCause(key)
}

/** A live holder, or a dead one, is named by the scans; a run that waits for nobody is hung itself. */
function causeOfRun({ raw, workload }: SweptWorkload, since: number, locks: KnownLocks): Cause {
  const { key, conditions, metLock } = workload
  const lock = locks.observations.find(({ evidence }) => evidence.owner?.object === key)
  const verdict = lock?.judgement.verdict
  const isHeld = lock !== undefined && verdict !== 'free'
  if (isHeld) {
    const why = verdict === 'live' ? 'its state is locked, and the holder lives' : `its state is locked (${verdict})`
    return { why: `: ${why}`, next: `npm run locks -- explain ${key}` }
  }
  if (metLock !== undefined) {
    return { why: ': it says that its state is locked', next: `npm run locks -- explain ${key}` }
  }
  const ready = condition(conditions, 'Ready')
  const isHung = ready?.status === 'Unknown' && hungMessages.has(ready.message) && !hasFailed(raw)
  if (isHung && isKnownFree(key, since, locks)) {
    return {
      why: `: it says "${ready.message}" and nobody holds its lock, so that its run is most likely dead`,
      next: `Look at its runner (kubectl -n ${workload.namespace} get pod ${workload.name}-tf-runner). If that does not work any more, restart tofu-controller when no other object applies.`,
    }
  }
  return unknownCause(key)
}

/** That no lock is known says something only where a scan has looked for it since, and could. */
function isKnownFree(key: string, since: number, { report }: KnownLocks): boolean {
  if (!report || report.startedAt < since || report.found > report.findings.length) return false
  return !report.findings.some(({ kind, subject }) => kind === 'store' || subject === key)
}

/** What tofu-controller says while it waits for its runner, without a limit in time for the last two. */
const hungMessages = new Set(['Initializing', 'Terraform Planning', 'Applying'])

const failuresSchema = z.object({ status: z.object({ reconciliationFailures: z.number().positive() }) })

/** Between two tries it says that it works, as if nothing had been. */
function hasFailed(raw: unknown): boolean {
  return failuresSchema.safeParse(raw).success
}

function unknownCause(key: string): Cause {
  return { why: '', next: `Look at it: ${describe(key)}.` }
}

function stuckSource({ key }: Source, ready: Condition | undefined, { since, deadline }: Lateness): Found {
  return {
    ...{ kind: 'stuck', object: key, since },
    text: `${key} has not been Ready for longer than ${formatDuration(deadline)}: what is pushed does not reach the cluster through it.`,
    next: `Check its URL, its credentials and source-controller. ${said(ready)}`.trim(),
  }
}
