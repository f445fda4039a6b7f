import type { Clock } from '../../clock.ts'
import { LockstepError } from '../../errors.ts'
import { type Cluster, ClusterError } from '../../kubernetes/cluster.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { oneLine } from '../../locks/evidence/one-line.ts'
import { UnlockStopped } from '../run/unlock-stopped.ts'
import { isHeld, type Standing, standingOf, undoChange } from './change.ts'
import { readFromDeployment, removeFromDeployment, sealDeployment } from './deployment-intent.ts'
import { type Change, type ChangedField, type Intent, IntentUnreadable } from './intent.ts'
import { clearPending, type Pending } from './stored-plan.ts'

export interface RestorePorts {
  readonly cluster: Cluster
  readonly ledger: Ledger
  readonly clock: Clock
}

interface Of {
  /** `Deployment/flux-system/tofu-controller` */
  readonly object: string
  readonly field: ChangedField | 'plan'
}

export interface RestoreOptions {
  /** Whoever calls looks again later: a request that was in flight when its step ended may arrive after this. */
  readonly keepOpen?: boolean
}

/** What became of the changes of an unlock. What was never made, or put back earlier, is in none of the lists. */
export interface Restored {
  readonly unlock: string
  readonly undone: readonly Of[]
  /** Somebody else has decided on it, or it is gone: not touched. */
  readonly left: readonly (Of & { readonly why: string })[]
  /** Still to be put back: call again. The intent stays open. */
  readonly failed: readonly (Of & { readonly why: string })[]
}

/**
 * Puts back whatever a guarded unlock has changed and nobody has changed since. It may be called any number of times, also
 * beside another one: what is put back stays so. Each change is recorded in the audit before it is made.
 *
 * The order keeps the plan that was stored before the unlock from being applied: nobody may force a lock open any more;
 * the stored plan is forgotten; the controller comes back; objects are resumed, what was suspended last first.
 *
 * A field that the API server refuses does not keep the others from being put back. Once somebody else has put back all of
 * it nothing more is touched: what is held then is the next unlock's. Throws ClusterError and
 * LedgerUnavailable for what can pass: call again.
 */
export async function restore(
  intent: Intent,
  ports: RestorePorts,
  { keepOpen = false }: RestoreOptions = {},
): Promise<Restored> {
  const { cluster, ledger, clock } = ports
  const restoring = new Restoring(intent, ports)
  const restored = await restoring.run()
  if (restored.failed.length > 0 || keepOpen || restoring.isOver) return restored
  const { unlock } = intent
  const detail = { left: restored.left.map((each) => ({ ...each })) }
  await ledger.appendAudit({ unlock, id: 'restored', at: clock.now(), what: 'put back', by, detail })
  // The annotation first: the ledger's record is what a restore that ends here is found by.
  await removeFromDeployment(cluster, intent)
  await ledger.closeIntent(intent.cluster, unlock)
  return restored
}

/** Throws RestoreIncomplete where something is still to be put back. */
export function checkRestored({ failed }: Restored, cluster: string): void {
  if (failed.length === 0) return
  const what = failed.map(({ object, field, why }) => `${object} (${field}): ${why}`).join('; ')
  throw new UnlockStopped(
    'RestoreIncomplete',
    `Not all could be put back in ${cluster}: ${what}.`,
    'It is tried again.',
  )
}

/**
 * How long a change may still arrive whose sender has asked for its turn before somebody began to restore, in milliseconds: an
 * API server works on a request for a minute at most
 * (https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/, --request-timeout), and a sender that
 * nobody waits for any more may be as slow to send it.
 */
export const stragglerMs = 180_000

/** What an unlock that does not live any more has left behind, if anything. */
export interface Abandoned {
  /** The execution of this unlock is known to have ended. Else its run must have ended, or its turn have run out. */
  readonly ended?: string
}

/**
 * Looks in the ledger, and where that knows of nothing on the cluster itself, for an unlock that died, and restores it. Its
 * intent stays open until nothing of it can arrive any more: call again later. Undefined where there is none. Throws as `restore`, and IntentUnreadable.
 */
export async function restoreAbandoned(ports: RestorePorts, { ended }: Abandoned = {}): Promise<Restored | undefined> {
  const { cluster, ledger, clock } = ports
  // The cluster first: an unlock that begins in between is in the ledger before it is on the cluster.
  const carried = await readFromDeployment(cluster).catch((error: unknown) => {
    if (error instanceof IntentUnreadable) return error
    throw error
  })
  const turn = await ledger.readUnlock(cluster.name)
  if (turn?.intent) {
    const isDead = turn.unlock === ended || turn.leaseUntil <= clock.now() || (await hasEnded(turn.unlock, ledger))
    // One that puts back what it has changed is helped, and closes its intent itself.
    if (!isDead && turn.restoring === undefined) return undefined
    if (!(await ledger.beginRestore(cluster.name, turn.unlock))) return undefined
    const mayArrive = clock.now() - (turn.restoring ?? clock.now()) < stragglerMs
    return restore(turn.intent, ports, { keepOpen: !isDead || mayArrive })
  }
  if (carried instanceof IntentUnreadable) throw carried
  return carried && restore(carried, ports)
}

async function hasEnded(unlock: string, ledger: Ledger): Promise<boolean> {
  return (await ledger.readUnlockRun(unlock))?.value.outcome !== undefined
}

/** Whether no controller works on the locked object, by what the unlock has changed. Throws ClusterError. */
export async function holdsLocked(intent: Intent, cluster: Cluster): Promise<boolean> {
  for (const change of holdersOf(intent)) {
    if (isHeld(await standingOf(cluster, change))) return true
  }
  return false
}

/** By which changes no controller works on the locked object: its own suspension, or else the missing controller. */
function holdersOf({ changes, locked }: Intent): Change[] {
  const suspends = changes.filter(({ field, object }) => field === 'suspend' && object === locked.object)
  return [...suspends, ...changes.filter(({ field }) => field === 'replicas')]
}

/** In the audit. */
const by = 'restore'

/** One restore of one intent. */
class Restoring {
  private readonly intent: Intent
  private readonly ports: RestorePorts
  private readonly undone: Of[] = []
  private readonly left: (Of & { why: string })[] = []
  private readonly failed: (Of & { why: string })[] = []
  /** Somebody else has put back everything meanwhile. */
  isOver = false

  constructor(intent: Intent, ports: RestorePorts) {
    this.intent = intent
    this.ports = ports
  }

  async run(): Promise<Restored> {
    const backwards = [...this.intent.changes].reverse()
    const of = (wanted: ChangedField) => backwards.filter(({ field }) => field === wanted)
    for (const change of of('forceUnlock')) await this.undo(change)
    await this.seal(of('replicas'))
    const kept = await this.forgetStoredPlan()
    for (const change of [...of('replicas'), ...of('suspend')]) {
      if (change === kept) this.fail(change, 'the plan that is stored for it would be applied')
      else await this.undo(change)
    }
    const { undone, left, failed } = this
    return { unlock: this.intent.unlock, undone, left, failed }
  }

  /** Before anything is let go: a scale that is on its way would stop the controller under it. */
  private async seal(scales: readonly Change[]): Promise<void> {
    const { cluster } = this.ports
    for (const change of scales) {
      const standing = await this.tried(change, () => standingOf(cluster, change))
      if (standing?.is !== 'before') continue
      await this.tried(change, async () => {
        await this.checkOpen()
        await sealDeployment(cluster, this.intent)
        return true
      })
    }
  }

  private async undo(change: Change): Promise<void> {
    if (this.isOver) return
    const { object, field, from, to } = change
    const detail = { object, field, from: JSON.stringify(to), to: JSON.stringify(from) }
    const beforehand = async () => {
      await this.checkOpen()
      await this.record(`undo/${object}/${field}`, 'putting back', detail)
    }
    const standing = await this.tried(change, () => undoChange(this.ports.cluster, change, beforehand))
    if (standing?.is === 'ours') this.undone.push({ object, field })
    if (standing?.is === 'theirs' || standing?.is === 'gone') this.left.push({ object, field, why: standing.why })
  }

  /**
   * Only while the unlock holds the object: a plan that was made since is nobody's to forget. Answers the change that must
   * stay as it is because the plan could not be forgotten.
   */
  private async forgetStoredPlan(): Promise<Change | undefined> {
    const holding = await this.holding()
    if (!holding) return undefined
    const { cluster } = this.ports
    const { object } = this.intent.locked
    const of = { object, field: 'plan' } as const
    let wasPending = false
    const beforehand = async ({ plan, lock }: Pending) => {
      await this.checkOpen()
      wasPending = true
      await this.record(`clear/${object}`, 'clearing what is pending', { object, plan, lock })
    }
    const cleared = await this.tried(of, async () => {
      await clearPending(cluster, this.intent, beforehand)
      return true
    })
    if (!cleared) return holding
    if (wasPending) this.undone.push(of)
    return undefined
  }

  private async holding(): Promise<Change | undefined> {
    for (const change of holdersOf(this.intent)) {
      const standing = await this.tried(change, () => standingOf(this.ports.cluster, change))
      if (standing && isHeld(standing)) return change
    }
    return undefined
  }

  /**
   * What the unlock has changed looks the same when the next one has done it. That one does not begin before this intent is
   * closed: in the ledger, or where that has lost it, on the cluster.
   */
  private async checkOpen(): Promise<void> {
    const { cluster, ledger } = this.ports
    const { unlock } = this.intent
    const open = (await ledger.readUnlock(cluster.name))?.intent ?? (await readFromDeployment(cluster))
    if (open?.unlock !== unlock) throw new RestoreOver(unlock)
  }

  /** Undefined where it was refused: that is told, and the others go on. */
  private async tried<T extends Standing | true>(of: Of, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof RestoreOver) this.isOver = true
      if (this.isOver) return undefined
      if (!(error instanceof LockstepError) || !isRefusal(error)) throw error
      this.fail(of, oneLine(error.message))
      return undefined
    }
  }

  private fail({ object, field }: Of, why: string): void {
    const isKnown = this.failed.some((each) => each.object === object && each.field === field)
    if (!isKnown) this.failed.push({ object, field, why })
  }

  private async record(id: string, what: string, detail: Parameters<Ledger['appendAudit']>[0]['detail']) {
    const { ledger, clock } = this.ports
    await ledger.appendAudit({ unlock: this.intent.unlock, id, at: clock.now(), what, by, detail })
  }
}

/** Everything is put back already. */
class RestoreOver extends LockstepError {
  constructor(unlock: string) {
    super('RestoreOver', `What unlock ${unlock} had changed is put back already.`, 'Nothing is to be done.')
  }
}

const refusals: ReadonlySet<string> = new Set(['ClusterForbidden', 'ClusterRejected', 'ClusterConflict'])

/** Of this one object; the others may be spared. */
function isRefusal(error: LockstepError): boolean {
  return error.name === 'UnexpectedShape' || (error instanceof ClusterError && refusals.has(error.name))
}
