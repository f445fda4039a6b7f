import { getIfThere } from '../lib/kubernetes/get-if-there.ts'
import { stateText } from '../lib/locks/backends/lock-place.ts'
import type { LockPorts } from '../lib/step.ts'
import { refOfKey } from '../lib/unlock/hold/intent.ts'
import { freshRunIn } from '../lib/unlock/run/fresh-run.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import type { UnlockRun } from '../lib/unlock/run/unlock-run.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'
import { waitSlice } from '../lib/unlock/run/wait-slice.ts'
import { SecretStateKeeper } from '../lib/unlock/state/secret-state-keeper.ts'
import { verifyState } from '../lib/unlock/state/verify-state.ts'

/** What has become of the fresh plan. `none`: nobody has run the object in time, as others hold it back. */
export type FreshPlan = 'planned' | 'failed' | 'none'

export interface Verified {
  /** False where it takes longer than a slice: call again. */
  readonly done: boolean
  readonly plan?: FreshPlan
}

/**
 * Waits for the fresh plan, and looks whether the state has gone on as it should. A plan that fails is told, and is no
 * failure of the unlock; nor is one that others hold back, or that comes late. Throws StateDiverged, ClusterError,
 * LockStoreError.
 */
export async function verify(unlock: string, ports: LockPorts): Promise<Verified> {
  const underWay = await UnderWay.read(unlock, ports)
  const { token, locked, fence, deletedAt } = underWay.run
  if (!locked || !fence || deletedAt === undefined) throw new TypeError(`Unlock ${unlock} has deleted nothing.`)
  await underWay.keepTurn()
  // Nobody was asked: whoever holds the object lets it run, and apply, when they like.
  const ran = token === undefined ? { plan: 'none' as const, mayApply: true } : await waitForRun(underWay, ports)
  if (!ran) return { done: false }
  const { plan, mayApply } = ran
  await underWay.record('plan', 'the fresh plan', { object: locked.object, plan })
  const endedAt = plan === 'none' ? undefined : ports.clock.now()
  await checkState(underWay, { mayApply, endedAt }, ports)
  if (plan === 'planned') await underWay.note({ plannedAt: ports.clock.now() })
  return { done: true, plan }
}

interface Ran {
  readonly plan: FreshPlan
  readonly mayApply: boolean
}

/** Undefined where the slice is over. */
async function waitForRun(underWay: UnderWay, ports: LockPorts): Promise<Ran | undefined> {
  const { locked, fence, deletedAt = 0 } = underWay.run
  if (!locked || !fence) return undefined
  const { clock, sliceMs } = ports
  const cluster = await underWay.cluster()
  const deadline = (await underWay.waitingSince('the fresh plan')) + fence.planMs
  let ran: Ran | undefined
  const look = async () => {
    const found = freshRunIn(await getIfThere(cluster, refOfKey<'Terraform'>(locked.object)), locked, deletedAt)
    const isOver = found.plan !== undefined || clock.now() >= deadline
    if (isOver) ran = { plan: found.plan ?? 'none', mayApply: found.mayApply }
    return isOver
  }
  await waitSlice(look, { clock, sliceMs, deadline: Number.POSITIVE_INFINITY, late: () => new RangeError() })
  return ran
}

/** Throws StateDiverged where somebody must look at the state before anything is built upon it. */
async function checkState(
  underWay: UnderWay,
  { mayApply, endedAt }: { readonly mayApply: boolean; readonly endedAt: number | undefined },
  { locks, clock }: LockPorts,
): Promise<void> {
  const { where, backup, held = [], releasedAt } = underWay.run
  if (!where || !backup) return
  const { state } = where
  const keeper = state.store === 's3' ? locks.keeper : new SecretStateKeeper(await underWay.cluster(), clock)
  // What is listed after it was read is no surprise; the other way round it might be.
  const now = await underWay.state(locks.states)
  const writes = await keeper.writesSince(state, backup)
  const freshRun = {
    ...{ from: releasedAt ?? clock.now(), applied: mayApply },
    ...(endedAt !== undefined && { until: endedAt }),
  }
  const findings = verifyState({ state: stateText(state), backup, held, writes, now, freshRun })
  const rules = findings.map(({ rule }) => rule)
  await underWay.record('verified', 'looking at what was written to the state', { findings: rules })
  if (findings.length > 0) throw diverged(underWay.run, findings)
}

function diverged({ object = '' }: UnlockRun, findings: ReturnType<typeof verifyState>): UnlockStopped {
  const why = findings.map(({ message }) => message).join(' ')
  const next = [...new Set(findings.map((finding) => finding.next))].join(' ')
  return new UnlockStopped('StateDiverged', `${why} ${object} is suspended until somebody has looked at it.`, next)
}
