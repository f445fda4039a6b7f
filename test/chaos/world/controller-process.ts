import { requestedAt } from '../../../functions/lib/flux/annotations.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import type { Truth } from '../truth.ts'
import { type Api, timeText } from './api.ts'
import { shutdownSeconds } from './flux.ts'
import type { LockPlace } from './lock-place.ts'
import { database, runnerKey, type TerraformKey, vpc } from './names.ts'
import type { Nodes } from './nodes.ts'
import type { Pods, Program } from './pods.ts'
import type { State } from './state.ts'
import { type DiesTaking, type Operation, type TofuEnd, TofuProcess } from './tofu-process.ts'

const manager = 'tf-controller'

/** Shorter than the chart's by far, in milliseconds: what happens at every retry happens often enough. */
const retryMs = 90_000

/** What the world knows of an object beside what the API shows. */
export interface Work {
  readonly state: State
  /** How long the next apply takes, in milliseconds. */
  applyMs: number
  /** Whether the next plan finds something to change. */
  changes: boolean
  /** When what is stored was planned. */
  plannedAt: number | undefined
  /** The process in its runner, if one works there. */
  process: TofuProcess | undefined
  /** The latest process of each runner, by the pod's UID: an earlier one may go on where nobody hears of it. */
  readonly inPods: Map<string, TofuProcess>
  /** The UID of that runner. */
  pod: string | undefined
  /** What becomes of the next apply. */
  dies: DiesTaking | undefined
}

export interface ControllerOptions {
  readonly clock: ChaosClock
  readonly random: Random
  readonly api: Api
  readonly nodes: Nodes
  readonly pods: Pods
  readonly place: LockPlace
  readonly truth: Truth
  readonly work: Readonly<Record<TerraformKey, Work>>
  /** What the source serves now. */
  readonly revision: () => string
  /** When Lockstep scaled it to zero, if that is why it ends. */
  readonly stoppedAt: () => number | undefined
}

interface Run {
  readonly key: TerraformKey
  readonly token: string | undefined
  readonly beganAt: number
  /** Of its runner. */
  pod: string | undefined
  isOver: boolean
}

interface Status {
  conditions?: { type: string; status: string; reason: string; message: string; lastTransitionTime: string }[]
  plan?: { pending?: string; lastApplied?: string }
  lock?: { pending?: string; lastApplied?: string }
  [field: string]: unknown
}

/** One process of tofu-controller that leads: what it does with its objects, as far as an unlock can meet it. */
export class ControllerProcess implements Program {
  private readonly options: ControllerOptions
  private readonly runs = new Map<TerraformKey, Run>()
  private isDead = false
  private isEnding = false
  private onIdle: () => void = () => {}

  constructor(options: ControllerOptions) {
    this.options = options
    for (const key of [vpc, database] as const)
      this.later(options.random.between(100, 2_000), () => this.reconcile(key))
  }

  /** Something about an object has changed. */
  notice(key: TerraformKey): void {
    this.later(200, () => this.reconcile(key))
  }

  /** SIGTERM: it begins nothing more, and waits for what runs. */
  terminate(ended: () => void): void {
    if (this.isDead) return
    this.isEnding = true
    this.onIdle = ended
    if (this.runs.size === 0) {
      ended()
      return
    }
    this.later(shutdownSeconds * 1_000, () => {
      for (const run of this.runs.values()) this.interrupt(run)
      this.later(500, ended)
    })
  }

  /** SIGKILL: its calls end, and with them what they have started. */
  kill(): void {
    if (this.isDead) return
    this.isDead = true
    for (const { key } of this.runs.values()) this.options.work[key].process?.interrupt()
  }

  /** Its node has gone: nobody hears that its connections are over, and its runners work on. */
  vanish(): void {
    this.isDead = true
  }

  /** The container of an object's runner was started again: the call into it fails. */
  runnerRestarted(key: TerraformKey): void {
    const run = this.runs.get(key)
    if (run) this.later(1_000, () => this.fail(run, 'TFExecApplyFailed', 'terraform session error'))
  }

  private interrupt({ key, beganAt }: Run): void {
    const { work, truth, stoppedAt } = this.options
    const { process } = work[key]
    if (!process?.alive) return
    const stopped = stoppedAt() ?? 0
    // One that hung on a dead lock then, and goes on since a person has removed that, could not be waited for either.
    const wentOnByHand =
      key === vpc && stopped <= truth.lockRemovedByHandAt && truth.lockRemovedByHandAt <= process.beganAt
    // One that began when that was under way already could not be waited for.
    if (beganAt < stopped && !wentOnByHand) truth.wrong('live run interrupted', `${process.name} for ${key}`)
    process.interrupt()
  }

  private reconcile(key: TerraformKey): void {
    const object = this.options.api.get(key)
    if (!object || this.isEnding || this.runs.has(key)) return
    const token = object.metadata.annotations?.[requestedAt]
    if (object.spec.suspend || !this.isDue(object, token)) {
      this.edit(key, (status) => handled(status, object, token))
      return
    }
    const run: Run = { key, token, beganAt: this.options.clock.now(), pod: undefined, isOver: false }
    this.runs.set(key, run)
    this.edit(key, (status) => {
      this.condition(status, 'Reconciling', 'True', 'Progressing', 'Reconciliation in progress')
      this.condition(status, 'Ready', 'Unknown', 'Progressing', 'Reconciliation in progress')
      status.observedGeneration = object.metadata.generation
    })
    this.findRunner(run, 0)
  }

  /** Healthy objects are left alone after a restart. */
  private isDue({ metadata, status = {} }: KubernetesObject, token: string | undefined): boolean {
    if (token !== undefined && status.lastHandledReconcileAt !== token) return true
    if (status.observedGeneration !== metadata.generation) return true
    if (status.plan?.pending || status.lastAttemptedRevision !== this.options.revision()) return true
    return conditionIn(status, 'Ready')?.status !== 'True'
  }

  /** A runner of another process is replaced by one of its own. */
  private findRunner(run: Run, tries: number): void {
    const { api, pods } = this.options
    const key = runnerKey(run.key)
    const found = api.get(key)
    if (found && found.metadata.uid !== run.pod) {
      if (!found.metadata.deletionTimestamp) api.remove(key)
      if (tries > 40) this.fail(run, 'RunnerCreationFailed', 'its old runner does not go')
      else this.go(run, 5_000, () => this.findRunner(run, tries + 1))
      return
    }
    if (!found) {
      if (tries > 40) {
        this.fail(run, 'RunnerCreationFailed', 'it gets no runner')
        return
      }
      const labels = { 'app.kubernetes.io/name': 'tf-runner', 'infra.contrib.fluxcd.io/terraform': 'flux-system' }
      run.pod = pods.create(key, manager, {
        ...{ labels, container: 'tf-runner', graceSeconds: 30, node: 'node-1' },
        start: ({ uid }) => runnerIn(uid, this.options.work[run.key]),
      })
    }
    if (run.pod !== undefined && pods.isRunning(run.pod)) this.init(run)
    else this.go(run, 3_000, () => this.findRunner(run, tries + 1))
  }

  private init(run: Run): void {
    this.progressing(run, 'Initializing')
    const { api, place, truth } = this.options
    const { spec, status } = api.get(run.key) ?? {}
    const pending = status?.lock?.pending
    const { forceUnlock, lockIdentifier } = spec?.tfstate ?? {}
    const isWanted = forceUnlock === 'auto' || (forceUnlock === 'yes' && lockIdentifier === pending)
    if (run.key === vpc && pending && isWanted) {
      if (place.ids().join() !== pending) {
        this.end(run, true)
        return
      }
      // `auto` is the user's own, and breaks whatever it meets.
      const isLocksteps = forceUnlock === 'yes' && api.get(vpc)?.metadata.managedFields?.some(isLockstepsForce)
      if (isLocksteps) truth.lockRemoved(pending, 'controller')
      place.release(pending)
      this.edit(run.key, (status) => {
        this.condition(status, 'StateLocked', 'False', 'ForceUnlock', `Terraform Force Unlock: ${pending}`)
        status.lock = { lastApplied: pending }
      })
    }
    const stored = status?.plan?.pending
    if (!stored) {
      this.plan(run)
      return
    }
    const { plannedAt = Number.NEGATIVE_INFINITY } = this.options.work[run.key]
    if (run.key === vpc) truth.appliesStored(run.key, plannedAt)
    this.apply(run)
  }

  private plan(run: Run): void {
    const { random, work, clock } = this.options
    this.progressing(run, 'Terraform Planning')
    this.start(run, 'OperationTypePlan', random.between(3_000, 60_000), () => {
      const { changes } = work[run.key]
      const at = clock.now()
      work[run.key].plannedAt = changes ? at : undefined
      this.edit(run.key, (status) => {
        status.lastPlannedRevision = this.options.revision()
        status.lastAttemptedRevision = this.options.revision()
        status.lastPlanAt = timeText(at)
        status.plan = changes ? { pending: `plan-${this.options.revision()}` } : {}
        forget(status)
        if (!changes) this.condition(status, 'Ready', 'True', 'TerraformPlannedNoChanges', 'Plan no changes')
      })
      if (changes) this.go(run, 500, () => this.apply(run))
      else this.end(run, false)
    })
  }

  private apply(run: Run): void {
    const { work } = this.options
    this.progressing(run, 'Applying')
    this.start(run, 'OperationTypeApply', work[run.key].applyMs, () => {
      work[run.key].changes = false
      this.edit(run.key, (status) => {
        status.lastAppliedRevision = this.options.revision()
        status.lastAttemptedRevision = this.options.revision()
        status.plan = {}
        forget(status)
        this.condition(status, 'Ready', 'True', 'TerraformAppliedSucceed', 'Applied successfully')
      })
      this.end(run, false)
    })
  }

  private start(run: Run, operation: Operation, forMs: number, done: () => void): void {
    const { work, nodes, pods, place, ...options } = this.options
    const ours = work[run.key]
    const node = pods.nodeOf(run.pod ?? '') ?? 'node-1'
    // Nobody answers, and nobody says so.
    if (!pods.isRunning(run.pod ?? '')) return
    const reason = operation === 'OperationTypePlan' ? 'TFExecPlanFailed' : 'TFExecApplyFailed'
    const onEnd = (end: TofuEnd) => {
      ours.process = undefined
      if (this.isDead || run.isOver) return
      if (end.is === 'locked') this.fail(run, reason, 'error acquiring the state lock', end.by)
      else if (end.is === 'interrupted') this.fail(run, reason, 'interrupted')
      else this.go(run, 100, done)
    }
    const dies = operation === 'OperationTypeApply' ? ours.dies : undefined
    ours.pod = run.pod
    const process = new TofuProcess({
      ...{
        ...options,
        operation,
        forMs,
        onEnd,
        place: place.of(run.key),
        state: ours.state,
        timeThere: () => nodes.timeOn(node),
      },
      who: `runner@${runnerKey(run.key).split('/')[2]}`,
      dies,
    })
    ours.process = process
    ours.inPods.set(run.pod ?? '', process)
  }

  private fail(run: Run, reason: string, message: string, lock?: string): void {
    if (run.isOver) return
    this.go(run, 10, () => {
      this.edit(run.key, (status) => {
        if (lock !== undefined) {
          this.condition(status, 'StateLocked', 'True', 'LockHeld', `Terraform Locked with Lock Identifier: ${lock}`)
          status.lock = { ...(status.lock?.pending && { lastApplied: status.lock.pending }), pending: lock }
        }
        if (reason === 'TFExecApplyFailed') status.plan = {}
        this.condition(status, 'Ready', 'False', reason, message)
        status.lastAttemptedRevision = this.options.revision()
      })
      this.end(run, true)
    })
  }

  /** The token is written, and the run over, when the runner is gone. */
  private end(run: Run, again: boolean): void {
    if (run.isOver) return
    run.isOver = true
    this.later(50, () => {
      this.edit(run.key, (status) => {
        status.conditions = status.conditions?.filter(({ type }) => type !== 'Reconciling') ?? []
      })
      const found = this.options.api.get(runnerKey(run.key))
      if (found && found.metadata.uid === run.pod && !found.metadata.deletionTimestamp) {
        this.options.api.remove(runnerKey(run.key))
      }
      this.close(run, again, 0)
    })
  }

  private close(run: Run, again: boolean, tries: number): void {
    const { api } = this.options
    if (tries < 20 && api.get(runnerKey(run.key))?.metadata.uid === run.pod) {
      this.later(5_000, () => this.close(run, again, tries + 1))
      return
    }
    this.runs.delete(run.key)
    const object = api.get(run.key)
    if (object) this.edit(run.key, (status) => handled(status, object, run.token))
    if (this.isEnding && this.runs.size === 0) this.onIdle()
    else if (again) this.later(retryMs, () => this.reconcile(run.key))
    else this.notice(run.key)
  }

  private progressing({ key }: Run, message: string): void {
    this.edit(key, (status) => this.condition(status, 'Ready', 'Unknown', 'Progressing', message))
  }

  private condition(status: Status, type: string, value: string, reason: string, message: string): void {
    const others = status.conditions?.filter((each) => each.type !== type) ?? []
    const at = timeText(this.options.clock.now())
    status.conditions = [...others, { type, status: value, reason, message, lastTransitionTime: at }]
  }

  private edit(key: TerraformKey, change: (status: Status) => void): void {
    this.options.api.editStatus(key, manager, (object) => {
      object.status ??= {}
      change(object.status)
    })
  }

  private go(run: Run, ms: number, act: () => void): void {
    this.later(ms, () => {
      if (!run.isOver) act()
    })
  }

  /** While the API server is down it waits. */
  private later(ms: number, act: () => void): void {
    this.options.clock.act(ms, () => {
      if (this.isDead) return
      if (this.options.api.down) this.later(5_000, act)
      else act()
    })
  }
}

function handled(status: Status, { metadata }: KubernetesObject, token: string | undefined): void {
  if (token !== undefined) status.lastHandledReconcileAt = token
  if (conditionIn(status, 'Ready')?.status === 'True') status.observedGeneration = metadata.generation
}

function forget(status: Status): void {
  delete status.lock
  status.conditions = status.conditions?.filter(({ type }) => type !== 'StateLocked') ?? []
}

function conditionIn(status: Status, wanted: string) {
  return status.conditions?.find(({ type }) => type === wanted)
}

/** Whether an entry of managedFields says that Lockstep has set the forced unlock. */
function isLockstepsForce(entry: unknown): boolean {
  const { manager: by, fieldsV1 } = entry as { manager: string; fieldsV1: Record<string, Record<string, object>> }
  const tfstate = fieldsV1['f:spec']?.['f:tfstate']
  return by === 'lockstep' && tfstate !== undefined && 'f:forceUnlock' in tfstate
}

/** A runner that is told to end interrupts its tofu, and stays for the whole of its grace. */
export function runnerIn(uid: string, { inPods }: Work): Program {
  return { terminate: () => inPods.get(uid)?.interrupt(), kill: () => inPods.get(uid)?.kill() }
}
