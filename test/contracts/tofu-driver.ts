import type { Cluster, ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'
import type { LockRecord } from '../../infra/local/simulation/tofu/lock-record.ts'
import type { Activity } from '../../infra/local/virtual-clock.ts'
import { type ControllerDriver, conditionOf, type DrivenObject, ready, type Sighting } from './controller-driver.ts'
import { fleetObjects } from './fleet-objects.ts'

/** A runner pod, as its API answers it. */
export interface DrivenPod {
  readonly uid: string
  readonly phase: string
  readonly ready: boolean
  readonly restarts: number
  /** When the container that runs now was started (milliseconds); undefined when none runs. */
  readonly startedAt: number | undefined
  readonly terminating: boolean
}

/** A state, as far as the suites read it. */
export interface DrivenState {
  readonly serial: number
  readonly lineage: string
  /** Whether a resource in it is tainted. */
  readonly tainted: boolean
}

/**
 * A cluster with tofu-controller, whose objects keep their state in Kubernetes. Runners and the controller can be
 * killed in every way that there is. The controller is the cluster's: what happens to it happens to all.
 */
export interface TofuDriver extends ControllerDriver {
  /** The cluster as Lockstep reaches it. */
  readonly lockstep: Cluster
  /** Told of what takes no time, where the clock jumps over what nobody is busy with. */
  readonly activity: Activity
  /** A wait that stands for ever, in milliseconds: so long that nothing comes later. */
  readonly longWaitMs: number
  /** What the controller waits for its running reconciles when it is told to end, in milliseconds. */
  readonly gracefulShutdownMs: number
  /** Commits something that leaves every Terraform plan without changes; answers the revision. */
  pushWithoutChanges(): Promise<string>
  /** Commits a change whose applies take this long, in seconds; answers the revision. */
  pushApply(ref: ObjectRef, seconds: number): Promise<string>
  /** Makes the apply of the Terraform at the next revisions fail, until `mend`. */
  breakApply(ref: ObjectRef): Promise<void>
  mend(ref: ObjectRef): Promise<void>
  /** A merge patch of the status. */
  patchStatus(ref: ObjectRef, status: object): Promise<void>

  /** The object's runner pod. */
  pod(ref: ObjectRef): Promise<DrivenPod | undefined>
  /** SIGKILL. `restart`: the container comes back in the same pod. `fail`: the pod is Failed, as after an eviction. */
  killRunner(ref: ObjectRef, mode: 'restart' | 'fail'): Promise<void>
  /** As `kubectl delete pod`. */
  deleteRunner(ref: ObjectRef): Promise<void>
  /** As `kubectl delete pod --force`: gone from the API, and the process is killed. */
  forceDeleteRunner(ref: ObjectRef): Promise<void>
  /** The object's next runner gets no address, until `findRunner`. */
  loseRunner(ref: ObjectRef): Promise<void>
  findRunner(ref: ObjectRef): Promise<void>

  /** The record of the state lock; undefined when nobody holds it. */
  lock(ref: ObjectRef): Promise<LockRecord | undefined>
  /** Somebody else takes the state lock, whether or not there is a state yet. */
  takeLock(ref: ObjectRef): Promise<LockRecord>
  /** Removes the lock behind its holder's back. */
  breakLock(ref: ObjectRef): Promise<void>
  /** Undefined when there is none yet. */
  state(ref: ObjectRef): Promise<DrivenState | undefined>

  /**
   * SIGKILL of the controller, for good until `startManager`. `closed`: its runners see their connections end.
   * `black-holed`: they never learn of it, as when its node goes away.
   */
  killManager(options: { readonly connections: 'closed' | 'black-holed' }): Promise<void>
  /** After killManager: waits until the controller is back. */
  startManager(): Promise<void>
  /** Sets the replicas of the controller's Deployment, and does not wait. */
  scale(replicas: number): Promise<void>
  /** How many pods of the controller there are, those on their way out included. */
  managers(): Promise<number>
}

export const appliedAt = (revision: string) => (object: DrivenObject) =>
  ready(object) === 'True' && object.status?.lastAppliedRevision === revision

export const handled = (token: string) => (object: DrivenObject) => object.status?.lastHandledReconcileAt === token

/** StateLocked is True with this id. */
export const lockedBy = (id: string) => (object: DrivenObject) =>
  conditionOf(object, 'StateLocked')?.status === 'True' && object.status?.lock?.pending === id

/** How every Terraform of the suites is made that does not say otherwise: quick to try again and to tidy up. */
const brisk = { retryInterval: '1s', runnerTerminationGracePeriodSeconds: 1 }

export type TofuFleet = ReturnType<typeof tofuFleet>

/** What the tests have in their namespace: vpc, and where they want it db, on one source. */
export function tofuFleet(driver: TofuDriver) {
  const make = fleetObjects(driver.namespace)
  const source = make.ref('GitRepository', 'fleet')
  const vpc = make.ref('Terraform', 'vpc')
  const db = make.ref('Terraform', 'db')
  const serves = (revision: string) => (object: DrivenObject) => object.status?.artifact?.revision === revision

  /** The source serves the first revision. */
  const begin = async (first = () => driver.push({ 'vpc/note.yaml': [make.configMap('a')] })) => {
    const revision = await first()
    await driver.apply(make.gitRepository(driver.url))
    await driver.until(source, serves(revision))
    return revision
  }
  /** Answers the revision at which vpc is applied. */
  const applied = async (spec: object = {}) => {
    const revision = await begin()
    await driver.apply(make.terraform('vpc', spec))
    await driver.until(vpc, appliedAt(revision))
    // The runner pod of this run goes away before the object is worked on again.
    await driver.wait(6_000)
    return revision
  }
  const fetched = async (revision: string) => {
    await driver.request(source, `${driver.now()}`)
    await driver.until(source, serves(revision))
    return revision
  }
  /** Answers a new revision that the source serves. */
  const pushed = async () =>
    fetched(await driver.push({ 'vpc/note.yaml': [make.configMap('a', { at: `${driver.now()}` })] }))
  /** In the middle of vpc's first apply, which takes `seconds`: its revision, and the record of its lock. */
  const applying = async (seconds: number, spec: object = {}) => {
    const revision = await begin(() => driver.pushApply(vpc, seconds))
    await driver.apply(make.terraform('vpc', { ...brisk, ...spec }))
    await driver.until(vpc, (object) => conditionOf(object, 'Apply')?.message === 'Apply started')
    const lock = await lockUntil((held) => held?.Operation === 'OperationTypeApply')
    if (!lock) throw new Error('an apply without a lock')
    return { revision, lock }
  }
  /** Looks at the lock until `holds`; rejects after `timeoutMs`. */
  const lockUntil = async (holds: (lock: LockRecord | undefined) => boolean, timeoutMs = 30_000) => {
    for (const deadline = driver.now() + timeoutMs; ; ) {
      const lock = await driver.lock(vpc)
      if (holds(lock)) return lock
      if (driver.now() > deadline) throw new Error(`the lock is not as expected: ${JSON.stringify(lock)}`)
      await driver.wait(100)
    }
  }
  /** The object as it is after so long that nothing comes later; what it showed meanwhile. */
  const afterLong = async (): Promise<{ object: DrivenObject | undefined; seen: readonly Sighting[] }> => {
    const seen = await driver.observe(vpc)
    await driver.wait(driver.longWaitMs)
    return { object: await driver.get(vpc), seen }
  }
  const briskly = (spec: object = {}) => make.terraform('vpc', { ...brisk, ...spec })
  return { ...make, source, vpc, db, begin, applied, pushed, applying, lockUntil, afterLong, briskly, brisk }
}
