import { gateAnnotation, requestedAt, unlockAnnotation } from '../../../functions/lib/flux/annotations.ts'
import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import type { Truth } from '../truth.ts'
import { Api } from './api.ts'
import { runnerIn, type Work } from './controller-process.ts'
import { Controllers } from './controllers.ts'
import { deploymentSpec, Flux, type FluxShape, terraformSpec } from './flux.ts'
import { type Backend, LockPlace, stateBucket, stateKey } from './lock-place.ts'
import { database, deployment, release, root, runnerKey, type TerraformKey, vpc } from './names.ts'
import { Nodes, nodeNames } from './nodes.ts'
import { Pods } from './pods.ts'
import { State } from './state.ts'
import { TofuProcess } from './tofu-process.ts'

/** What a run begins with. */
export interface Beginning {
  readonly backend: Backend
  readonly flux: FluxShape
  /** Of each object that can be suspended. `null`: not there. */
  readonly suspend: Readonly<Record<string, boolean | null>>
  readonly forceUnlock: 'no' | 'auto' | null
  /** How far the nodes' clocks may be off, in milliseconds. */
  readonly skewMs: number
  /** How long applies take, in milliseconds. */
  readonly applyMs: number
  readonly otherApplyMs: number
}

export const acts = [
  ...['the runner dies, and is started again', 'the runner dies, and its pod fails', 'the runner dies with its pod'],
  ...[
    'the machine of the runner dies',
    'the runner is deleted by force',
    'the node of the runner falls silent',
    'silent nodes answer again',
  ],
  ...['silent machines are lost', 'the controller crashes', 'the controller vanishes', 'the controller is restarted'],
  ...[
    'a person scales',
    'a person suspends',
    'a person resumes',
    'a person there and back',
    'a person removes the lock',
  ],
  ...['a person takes the lock', 'a person releases', 'a person sets forceUnlock', 'a person removes the annotation'],
  ...['the object is made again', 'Git is applied', 'the chart is applied', 'an autoscaler scales', 'a new commit'],
  ...[
    'a person suspends the object',
    'a person resumes the object',
    'the gate opens',
    'the other is resumed, and runs',
  ],
  ...['a run is asked for', 'the other runs', 'a rollout gates', 'the API server goes', 'the API server comes'],
] as const
export type Act = (typeof acts)[number]

export interface WorldOptions {
  readonly clock: ChaosClock
  readonly random: Random
  readonly truth: Truth
  readonly begin: Beginning
}

/**
 * A cluster with tofu-controller, what applies it, and two Terraform objects; the state of one of them with its lock; and
 * people. Everybody in it does what they do without knowing of Lockstep.
 */
export class World {
  readonly api: Api
  readonly place: LockPlace
  readonly state: State
  private readonly clock: ChaosClock
  private readonly random: Random
  private readonly truth: Truth
  private readonly nodes: Nodes
  private readonly pods: Pods
  private readonly flux: Flux
  private readonly controllers: Controllers
  private readonly work: Record<TerraformKey, Work>
  private revision = 1
  private requests = 0
  /** Somebody at a laptop who holds the lock. */
  private laptop: TofuProcess | undefined

  constructor({ clock, random, truth, begin }: WorldOptions) {
    this.clock = clock
    this.random = random
    this.truth = truth
    this.api = new Api(clock, () => this.nodes.heartbeats())
    this.place = new LockPlace(begin.backend, this.api, (id) => truth.lockRemoved(id, 'lockstep'))
    this.state = new State(clock)
    const skew = () => random.between(-begin.skewMs, begin.skewMs)
    this.nodes = new Nodes(clock, this.api, skew)
    this.pods = new Pods(clock, this.api, this.nodes, random.fork())
    this.flux = new Flux({ clock, random: random.fork(), api: this.api, truth, shape: begin.flux })
    this.work = {
      [vpc]: { ...noWork(), state: this.state, applyMs: begin.applyMs, changes: true },
      [database]: { ...noWork(), state: new State(clock), applyMs: begin.otherApplyMs },
    }
    this.install(begin)
    this.controllers = new Controllers({
      ...{ clock, random: random.fork(), api: this.api, nodes: this.nodes, pods: this.pods, place: this.place, truth },
      ...{ work: this.work, revision: () => `main@sha1:${`${this.revision}`.padStart(40, '0')}` },
      scaledAt: () => truth.alteredAt(`${deployment} replicas`),
    })
  }

  /** Something happens, if it can. */
  act(act: Act): void {
    switch (act) {
      case 'the runner dies, and is started again':
        this.restartRunner()
        return
      case 'the runner dies, and its pod fails':
        this.withRunner((uid) => this.pods.fail(uid))
        return
      case 'the runner dies with its pod':
        this.withRunner((uid) => {
          this.pods.fail(uid)
          this.api.remove(runnerKey(vpc), 0)
        })
        return
      case 'the runner is deleted by force':
        // A kubelet that hears of it ends the process.
        this.withRunner(() => this.api.remove(runnerKey(vpc), 0))
        return
      case 'the node of the runner falls silent':
        this.withRunner((uid) => {
          const node = this.pods.nodeOf(uid)
          if (node === undefined) return
          this.nodes.fallSilent(node)
          if (this.controllers.node === node) this.controllers.process?.vanish()
        })
        return
      case 'the machine of the runner dies':
        this.withRunner((uid) => {
          const node = this.pods.nodeOf(uid)
          if (node === undefined) return
          this.pods.killAll(node)
          this.nodes.fallSilent(node)
        })
        return
      case 'silent nodes answer again':
        for (const name of nodeNames) if (this.nodes.isSilent(name)) this.pods.reconnect(name)
        return
      case 'silent machines are lost':
        this.loseSilent()
        return
      case 'the controller crashes':
        this.controllers.crash()
        return
      case 'the controller vanishes':
        this.controllers.vanish()
        return
      case 'the controller is restarted':
        this.restartController()
        return
      case 'a person scales':
        this.scale('kubectl', [this.random.between(0, 3)])
        return
      case 'a person suspends':
        this.suspend(this.anyObject(), [true])
        return
      case 'a person resumes':
        this.suspend(this.anyObject(), [false])
        return
      case 'a person suspends the object':
        this.suspend(vpc, [true])
        return
      case 'a person resumes the object':
        this.suspend(vpc, [false])
        return
      case 'the gate opens':
        this.openGate()
        return
      case 'the other is resumed, and runs':
        this.suspend(database, [false])
        this.work[database].changes = true
        this.ask(database)
        return
      case 'a person there and back':
        this.thereAndBack()
        return
      case 'a person removes the lock':
        this.truth.lockRemovedByHandAt = this.clock.now()
        for (const id of this.place.ids()) this.place.release(id)
        return
      case 'a person takes the lock':
        this.takeByHand()
        return
      case 'a person releases':
        this.laptop?.interrupt()
        return
      case 'a person sets forceUnlock':
        this.setForceUnlock()
        return
      case 'a person removes the annotation':
        this.person(deployment, ({ metadata }) => delete metadata.annotations?.[unlockAnnotation])
        return
      case 'the object is made again':
        this.makeAgain()
        return
      case 'Git is applied':
        this.flux.reconcile(root)
        return
      case 'the chart is applied':
        this.flux.reconcile(release)
        return
      case 'an autoscaler scales':
        if ((this.api.get(deployment)?.spec?.replicas ?? 0) === 0) return
        this.scale('horizontal-pod-autoscaler', [this.random.between(1, 3)])
        return
      case 'a new commit':
        this.revision++
        this.work[vpc].changes = this.random.chance(0.7)
        for (const key of [vpc, database] as const) this.controllers.process?.notice(key)
        return
      case 'a run is asked for':
        this.ask(vpc)
        return
      case 'the other runs':
        this.work[database].changes = true
        this.ask(database)
        return
      case 'a rollout gates':
        this.gate()
        return
      case 'the API server goes':
        this.api.down = true
        return
      case 'the API server comes':
        this.api.down = false
        return
    }
  }

  /** The next apply of the object dies with a part of its lock. */
  dieTakingTheLock(): void {
    const act = this.random.pick([
      'the runner dies, and is started again',
      'the runner dies, and its pod fails',
    ] as const)
    const then = () => {
      this.work[vpc].dies = undefined
      this.act(act)
    }
    this.work[vpc].dies = { parts: 1, then }
  }

  /** What lasts ends: machines come back or are lost, people put their things down, long applies finish. */
  calm(): void {
    this.api.down = false
    if (this.random.chance(0.5)) this.loseSilent()
    for (const name of nodeNames) if (this.nodes.isSilent(name)) this.pods.reconnect(name)
    this.laptop?.interrupt()
    for (const key of [vpc, database] as const) {
      this.work[key].process?.interrupt()
      this.work[key].applyMs = 20_000
      this.work[key].dies = undefined
    }
  }

  private install({ flux, suspend, forceUnlock }: Beginning): void {
    const suspended = (key: string) =>
      suspend[key] === null || suspend[key] === undefined ? {} : { suspend: suspend[key] }
    this.api.create(root, 'flux', { spec: { interval: '10m', ...suspended(root) } })
    this.api.create(release, 'flux', { spec: { interval: '10m', ...suspended(release) } })
    this.api.create(deployment, flux.deployedBy === 'helm' ? 'helm-controller' : 'kubectl', {
      labels: { 'app.kubernetes.io/name': 'tofu-controller', ...deployedLabels[flux.deployedBy] },
      spec: { ...deploymentSpec, replicas: flux.replicas },
    })
    for (const key of [vpc, database] as const) {
      const tfstate = key === vpc && forceUnlock ? { tfstate: { forceUnlock } } : {}
      const backendConfig = this.backendConfig(key)
      const spec = { ...terraformSpec(key), approvePlan: 'auto', ...tfstate, backendConfig, ...suspended(key) }
      this.api.create(key, 'kubectl', { labels: gitLabels, spec })
    }
    if (flux.declaresSuspend) this.flux.applyRoot()
    this.api.follow((key, event) => this.truth.wrote(key, event))
    const held = [root, release, deployment, vpc, database]
    this.api.follow((key, { type, object, previous }) => {
      const isAsked = type === 'MODIFIED' && object.metadata.deletionTimestamp && !previous?.metadata.deletionTimestamp
      if (key !== runnerKey(vpc) || !isAsked || !this.api.isLockstep || !this.work[vpc].process?.alive) return
      if (this.work[vpc].pod === object.metadata.uid) this.truth.wrong('live run interrupted', `${key} is deleted`)
    })
    this.truth.begin(
      held.flatMap((key) => [[key, this.api.get(key)] as const]).flatMap(([key, o]) => (o ? [[key, o] as const] : [])),
    )
  }

  private backendConfig(key: TerraformKey): object {
    const { backend } = this.place
    if (key === vpc && backend === 'kubernetes') return { secretSuffix: 'vpc', inClusterConfig: true }
    const table = key === vpc && (backend === 'dynamodb' || backend === 'both') ? 'dynamodb_table = "locks"' : ''
    const lockfile = key === database || backend === 's3' || backend === 'both'
    const at = key === vpc ? stateKey : 'database.tfstate'
    const lines = [
      `bucket = "${stateBucket}"`,
      `key = "${at}"`,
      'region = "us-east-1"',
      table,
      `use_lockfile = ${lockfile}`,
    ]
    return { customConfiguration: `backend "s3" {\n${lines.join('\n')}\n}` }
  }

  private withRunner(act: (uid: string) => void): void {
    const uid = this.api.get(runnerKey(vpc))?.metadata.uid
    if (uid !== undefined && this.pods.isRunning(uid)) act(uid)
  }

  private restartRunner(): void {
    this.withRunner((uid) => {
      const work = this.work[vpc]
      this.pods.restart(uid, () => runnerIn(uid, work))
      this.controllers.process?.runnerRestarted(vpc)
    })
  }

  private restartController(): void {
    if (this.api.down) return
    for (const { metadata } of this.api.list('Pod')) {
      if (metadata.labels?.app === 'tofu-controller') this.api.remove(`Pod/flux-system/${metadata.name}`)
    }
  }

  private loseSilent(): void {
    if (this.api.down) return
    for (const name of nodeNames) {
      if (this.nodes.isSilent(name)) this.pods.loseNode(name)
    }
  }

  private anyObject(): string {
    return this.random.pick([root, release, vpc, vpc, database])
  }

  private person(key: string, change: Parameters<Api['edit']>[2]): void {
    if (!this.api.down) this.api.edit(key, 'kubectl', change)
  }

  private suspend(key: string, steps: readonly boolean[]): void {
    for (const suspend of steps) {
      this.person(key, (object) => {
        object.spec = { ...object.spec, suspend }
      })
    }
  }

  private scale(manager: string, steps: readonly number[]): void {
    for (const replicas of steps) {
      if (this.api.down) return
      this.api.edit(deployment, manager, (object) => {
        object.spec = { ...object.spec, replicas }
      })
    }
  }

  /** The value is as it was, and yet somebody has decided on it. */
  private thereAndBack(): void {
    if (this.random.chance(0.3)) {
      const now = this.api.get(deployment)?.spec?.replicas ?? 1
      this.scale('kubectl', [now + 1, now])
      return
    }
    const key = this.anyObject()
    const now = this.api.get(key)?.spec?.suspend ?? false
    this.suspend(key, [!now, now])
  }

  private setForceUnlock(): void {
    const tfstate = this.random.pick([{ forceUnlock: 'auto' }, { forceUnlock: 'no' }, { lockIdentifier: 'another' }])
    this.person(vpc, (object) => {
      object.spec = { ...object.spec, tfstate: { ...object.spec?.tfstate, ...tfstate } }
    })
  }

  /** A run by hand, with the same state. */
  private takeByHand(): void {
    if (this.laptop?.alive) return
    const { clock, random, truth, place, state } = this
    truth.isByHand = true
    this.laptop = new TofuProcess({
      ...{ clock, random, truth, place, state, who: 'ana@laptop', operation: 'OperationTypeApply' },
      ...{ forMs: random.between(60_000, 3_600_000), timeThere: clock.now, onEnd: () => {}, atOnce: true },
    })
  }

  private makeAgain(): void {
    if (this.api.down) return
    const object = this.api.get(vpc)
    if (!object) return
    this.api.remove(vpc)
    this.api.create(vpc, 'kubectl', { labels: gitLabels, spec: object.spec })
  }

  private ask(key: TerraformKey): void {
    this.person(key, (object) => {
      object.metadata.annotations = { ...object.metadata.annotations, [requestedAt]: `by-hand-${++this.requests}` }
    })
  }

  private gate(): void {
    if (this.api.down || this.api.get(vpc)?.spec?.suspend) return
    this.api.edit(vpc, 'lockstep', (object) => {
      object.metadata.annotations = { ...object.metadata.annotations, [gateAnnotation]: gateMark }
      object.spec = { ...object.spec, suspend: true }
    })
  }

  /** The rollout that holds the object has come to it. */
  private openGate(): void {
    if (this.api.down || !this.api.get(vpc)?.metadata.annotations?.[gateAnnotation]) return
    this.api.edit(vpc, 'lockstep', (object) => {
      delete object.metadata.annotations?.[gateAnnotation]
      object.spec = { ...object.spec, suspend: false }
    })
  }
}

const gateMark = 'rollout-7 github.com/my-org/fleet-infra#main'

const noWork = () => ({
  ...{ plannedAt: undefined, process: undefined, pod: undefined, dies: undefined, changes: false },
  inPods: new Map<string, TofuProcess>(),
})

const gitLabels = {
  'kustomize.toolkit.fluxcd.io/name': 'flux-system',
  'kustomize.toolkit.fluxcd.io/namespace': 'flux-system',
}

const deployedLabels = {
  helm: { 'helm.toolkit.fluxcd.io/name': 'tofu-controller', 'helm.toolkit.fluxcd.io/namespace': 'flux-system' },
  git: gitLabels,
  nobody: {},
}
