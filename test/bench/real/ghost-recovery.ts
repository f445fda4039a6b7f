import { setTimeout as pause } from 'node:timers/promises'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import type { Host } from '../../../infra/local/host.ts'
import { appliedAt, lockedBy } from '../../contracts/tofu-driver.ts'
import type { RunningCluster } from '../../e2e/cluster/cluster.ts'
import { startLockstep } from '../../e2e/unlock/lockstep.ts'
import type { StateStores } from '../../e2e/unlock/state-stores.ts'
import { UnlockWorld } from '../../e2e/unlock/unlock-world.ts'

/** `silent`: the runner's pod has failed. `loud`: its container was started again, and the controller meets the lock. */
export type Ghost = 'silent' | 'loud'

/** How one ghost was recovered: milliseconds from when it is known to be dead. */
export interface Recovery {
  readonly deletedMs: number
  /** A fresh plan is asked for. */
  readonly askedMs: number
  /** Applied, and Ready at its revision. */
  readonly readyMs: number
  /** Of the time until the delete: waited for pods, for runs, and for tofu-controller. */
  readonly theirsMs: number
}

const backend = 's3 with an item'

/** How long the apply lasts that is killed in the middle, and the one that recovers, in seconds. */
const applySeconds = 8

/** From the verdict `stale` on. Lockstep finds the ghost by itself, and unlocks by policy. */
export async function recoverByLockstep(cluster: RunningCluster, stores: StateStores, ghost: Ghost): Promise<Recovery> {
  const world = await UnlockWorld.start(cluster, stores, backend)
  const lockstep = await startLockstep({ kubeconfig: cluster.kubeconfigs.lockstep })
  try {
    const revision = await makeGhost(world, ghost)
    const { verdictSince: staleAt } = await world.observed(lockstep, ({ judgement }) => judgement.verdict === 'stale')
    const begun = await world.begun(lockstep)
    await world.driver.until(world.vpc, appliedAt(revision))
    const readyAt = Date.now()
    const run = await world.ended(lockstep, begun)
    const asked = (await lockstep.ledger.listAudit(run.unlock)).find(({ id }) => id === 'replan')
    if (run.deletedAt === undefined || !asked) throw new Error(await world.story(lockstep, run))
    return {
      ...{ deletedMs: run.deletedAt - staleAt, askedMs: asked.at - staleAt, readyMs: readyAt - staleAt },
      theirsMs: waitedIn(lockstep, run),
    }
  } finally {
    await lockstep.close()
    await world.stop()
  }
}

/** The same by whoever has a script for it, from its start on: as careful as a script is that asks nobody. */
export async function recoverByHand(cluster: RunningCluster, stores: StateStores, ghost: Ghost): Promise<Recovery> {
  const world = await UnlockWorld.start(cluster, stores, backend)
  const { driver, vpc } = world
  try {
    const revision = await makeGhost(world, ghost)
    const from = Date.now()
    const sinceStart = () => Date.now() - from
    await driver.scale(0)
    const waitsFrom = sinceStart()
    while ((await driver.managers()) > 0) await pause(100)
    const theirsMs = sinceStart() - waitsFrom
    await stores.deleteItem(vpc)
    const deletedMs = sinceStart()
    await driver.scale(1)
    await driver.request(vpc, 'by hand')
    const askedMs = sinceStart()
    await driver.until(vpc, appliedAt(revision))
    return { deletedMs, askedMs, readyMs: sinceStart(), theirsMs }
  } finally {
    await world.stop()
  }
}

/** Answers the revision whose apply has died. */
async function makeGhost(world: UnlockWorld, ghost: Ghost): Promise<string> {
  const { driver, vpc } = world
  const revision = await world.applying(applySeconds)
  const { ID } = JSON.parse((await world.lock()) ?? '') as { ID: string }
  // A container's times are whole seconds: one that is started in the second of the lock may be the holder.
  await pause(2_000)
  await driver.killRunner(vpc, ghost === 'silent' ? 'fail' : 'restart')
  if (ghost === 'loud') await driver.until(vpc, lockedBy(ID))
  return revision
}

/** In which an unlock waits for others. */
const waits: readonly string[] = ['DrainRuns', 'StopController', 'FenceRunner', 'WaitForQuiet', 'ForceUnlock']

/** From the history of its execution: how long it was in those states, in milliseconds. */
function waitedIn({ interpreter }: Host, { unlock }: UnlockRun): number {
  const execution = interpreter.list({ machine: 'guarded-unlock' }).find(({ name }) => name === unlock)
  const entered = interpreter
    .history(execution?.executionArn ?? '')
    .filter(({ stateEnteredEventDetails }) => stateEnteredEventDetails !== undefined)
  return entered.reduce((sum, { timestamp, stateEnteredEventDetails }, at) => {
    if (!waits.includes(stateEnteredEventDetails?.name ?? '')) return sum
    return sum + Date.parse(entered[at + 1]?.timestamp ?? timestamp) - Date.parse(timestamp)
  }, 0)
}
