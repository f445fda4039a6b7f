import { formatDuration } from '../lib/duration.ts'
import { parseWorkload } from '../lib/flux/workload.ts'
import { listServed } from '../lib/kubernetes/list-served.ts'
import type { LockPorts } from '../lib/step.ts'
import { standingOf } from '../lib/unlock/hold/change.ts'
import { checkHeld, checkNobodyWorks, hold } from '../lib/unlock/hold/hold.ts'
import type { ChangedField } from '../lib/unlock/hold/intent.ts'
import { refOfKey } from '../lib/unlock/hold/intent.ts'
import { ghostsAmong } from '../lib/unlock/plan/plan-now.ts'
import { readController, readRunner } from '../lib/unlock/plan/read-cluster-now.ts'
import { judgedAfresh } from '../lib/unlock/run/judged-afresh.ts'
import { checkUnchanged, LockParts } from '../lib/unlock/run/lock-parts.ts'
import { runsIn } from '../lib/unlock/run/terraform-run.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import type { Fence } from '../lib/unlock/run/unlock-run.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'
import { waitSlice } from '../lib/unlock/run/wait-slice.ts'

/** The parts of a fence, in the order in which it is put up. */
export const fenceParts = ['suspend', 'drain', 'stop', 'runner'] as const
export type FencePart = (typeof fenceParts)[number]

/**
 * Puts up one part of the fence around a state whose lock is to be deleted. False where that takes longer than a slice: call
 * again. Every change is one of the intent. A run is waited for, and never interrupted. Throws ChangedMeanwhile,
 * StillApplying, ControllerRuns, RunnerRuns, TurnLost, ClusterError.
 */
export async function fence(unlock: string, part: FencePart, ports: LockPorts): Promise<boolean> {
  const underWay = await UnderWay.read(unlock, ports)
  const { fence: planned, object } = underWay.run
  if (!planned || !object) throw new TypeError(`Unlock ${unlock} was not begun.`)
  return new Fencing(underWay, planned, object, ports)[part]()
}

/** A run that began just before its object was suspended says so a moment later. In milliseconds. */
const quietMs = 1_000

interface Waiting {
  /** What to throw once it takes too long. */
  readonly name: 'StillApplying' | 'ControllerRuns' | 'RunnerRuns'
  readonly forMs: number
  /** For people, as it is by then. */
  readonly what: () => string
}

class Fencing {
  private readonly underWay: UnderWay
  private readonly planned: Fence
  private readonly object: string
  private readonly ports: LockPorts

  constructor(underWay: UnderWay, planned: Fence, object: string, ports: LockPorts) {
    this.underWay = underWay
    this.planned = planned
    this.object = object
    this.ports = ports
  }

  /** Nobody begins a run any more, and nobody puts back what is held. */
  async suspend(): Promise<boolean> {
    for (const change of this.changesOf('suspend')) await hold(change, this.underWay)
    return true
  }

  /** Runs that go on end by themselves; so does the pod whose end is the proof. */
  async drain(): Promise<boolean> {
    const cluster = await this.underWay.cluster()
    const { drainMs, awaited } = this.planned
    let quietSince: number | undefined
    let runs: readonly string[] = []
    const what = () => `runs to end${runs.length > 0 ? ` (${runs.slice(0, 5).join(', ')})` : ''}`
    return this.wait({ name: 'StillApplying', forMs: drainMs, what }, async () => {
      runs = await this.runs()
      const now = this.ports.clock.now()
      quietSince = runs.length > 0 ? undefined : (quietSince ?? now)
      const isQuiet = quietSince !== undefined && now - quietSince >= quietMs
      if (!isQuiet || !awaited) return isQuiet
      return (await readRunner(cluster, refOfKey(this.object)))?.uid !== awaited.uid
    })
  }

  /** With the controller ends what hangs in it. */
  async stop(): Promise<boolean> {
    const scale = this.changesOf('replicas')
    const cluster = await this.underWay.cluster()
    for (const change of scale) {
      if ((await standingOf(cluster, change)).is === 'before') await this.checkQuiet()
      await hold(change, this.underWay)
    }
    const what = () => "tofu-controller's pods to be gone"
    return this.wait({ name: 'ControllerRuns', forMs: this.planned.stopMs, what }, async () => {
      await checkHeld(scale, this.underWay)
      return (await readController(cluster))?.pods.length === 0
    })
  }

  /**
   * A pod that is left works for nobody: the state's lock is a dead holder's, and without it nobody works on the state. One
   * that has ended is dead already, and one that may be the holder was waited for.
   */
  async runner(): Promise<boolean> {
    const cluster = await this.underWay.cluster()
    const ref = refOfKey(this.object)
    const found = await readRunner(cluster, ref)
    if (!found || hasEnded(found.phase)) return true
    const { key, uid, deleting } = found
    if (!deleting) {
      await checkNobodyWorks(this.underWay)
      await this.checkLocked()
      await this.underWay.renewTurn()
      await this.underWay.record(`runner/${uid}`, 'deleting an idle runner', { pod: key, uid })
      await cluster.delete(refOfKey<'Pod'>(key), { uid })
    }
    const what = () => `${key} to be gone`
    return this.wait({ name: 'RunnerRuns', forMs: this.planned.runnerMs, what }, async () => {
      const now = await readRunner(cluster, ref)
      return now?.uid !== uid || hasEnded(now.phase)
    })
  }

  /**
   * Right before the controller is stopped: that would interrupt whatever has begun since the runs had ended. A run hangs for
   * as long as the lock of its dead runner is there: so all locks are judged once more.
   */
  private async checkQuiet(): Promise<void> {
    const { run } = this.underWay
    const { judgement } = await judgedAfresh(run, this.ports)
    if (judgement.verdict === 'free') throw released(run.lock)
    const ghosts = ghostsAmong(await this.ports.ledger.listObservations(run.cluster), run.cluster)
    const hangs = (key: string) => (key === this.object ? this.planned.hanging.includes(key) : ghosts.has(key))
    await checkHeld(this.changesOf('suspend'), this.underWay)
    const cluster = await this.underWay.cluster()
    const free = ((await listServed(cluster, 'Terraform')) ?? [])
      .map((raw) => parseWorkload('Terraform', raw))
      .filter(({ suspended }) => !suspended)
    const running = (await runsIn(cluster)).filter((key) => !hangs(key))
    const [runs] = [...free.map(({ key }) => key), ...running]
    if (runs === undefined) return
    throw new UnlockStopped('ChangedMeanwhile', `${runs} may run, and is not held.`, 'Ask for the unlock again.')
  }

  /** Only while the dead holder's lock is in its place nobody can work on the state. */
  private async checkLocked(): Promise<void> {
    const { where, judged, lock } = this.underWay.run
    if (!where || !judged) throw new TypeError(`Unlock ${this.underWay.run.unlock} was not judged.`)
    const found = await new LockParts(where.parts, this.ports.locks, await this.underWay.cluster()).readAll()
    if (found.length === 0) throw released(lock)
    for (const each of found) checkUnchanged(each, judged)
  }

  /** Runs that have to end: all of them where the controller is to be stopped. What hangs ends with it. */
  private async runs(): Promise<string[]> {
    const { rung, cluster } = this.underWay.run
    const stops = rung === 'quiesce'
    const runs = await runsIn(await this.underWay.cluster())
    const awaited = runs.filter((key) => (stops || key === this.object) && !this.planned.hanging.includes(key))
    if (awaited.length === 0) return awaited
    // Another one may have been proven dead since the plan was made.
    const ghosts = ghostsAmong(await this.ports.ledger.listObservations(cluster), cluster)
    return awaited.filter((key) => !stops || !ghosts.has(key))
  }

  private changesOf(field: ChangedField) {
    return this.underWay.run.intent?.changes.filter((change) => change.field === field) ?? []
  }

  private async wait({ name, forMs, what }: Waiting, look: () => Promise<boolean>): Promise<boolean> {
    await this.underWay.renewTurn()
    const { clock, sliceMs } = this.ports
    const deadline = (await this.underWay.waitingSince(name)) + forMs
    const late = () =>
      new UnlockStopped(name, `Waited ${formatDuration(forMs)} for ${what()}, in vain.`, 'All is put back.')
    return waitSlice(look, { clock, sliceMs, deadline, late })
  }
}

function released(lock: string): UnlockStopped {
  return new UnlockStopped('LockChanged', `Somebody else has released lock ${lock}.`, 'Nothing is to be done.')
}

function hasEnded(phase: string): boolean {
  return phase === 'Failed' || phase === 'Succeeded'
}
