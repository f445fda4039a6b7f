import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import type { Api } from './api.ts'
import { type ControllerOptions, ControllerProcess } from './controller-process.ts'
import { graceSeconds } from './flux.ts'
import { deployment, type TerraformKey } from './names.ts'
import type { NodeName, Nodes } from './nodes.ts'
import type { Pods, Program } from './pods.ts'

export interface ControllersOptions extends Omit<ControllerOptions, 'stoppedAt'> {
  readonly clock: ChaosClock
  readonly random: Random
  readonly api: Api
  readonly nodes: Nodes
  readonly pods: Pods
  /** When Lockstep set the replicas; undefined where they are not as it has set them. */
  readonly scaledAt: () => number | undefined
}

const podLabels = { app: 'tofu-controller' }

/** The pods of tofu-controller's Deployment: as many as it wants. One of them leads. */
export class Controllers {
  private readonly options: ControllersOptions
  private readonly pods = new Map<string, string>()
  private leader: { readonly uid: string; readonly process: ControllerProcess } | undefined
  private readonly standby: { readonly uid: string; readonly lead: () => void }[] = []
  private count = 0
  private stoppedAt: number | undefined

  constructor(options: ControllersOptions) {
    this.options = options
    const { api } = options
    api.follow((key, { type, object, previous }) => {
      if (key === deployment && object.spec?.replicas !== previous?.spec?.replicas) this.reconcileSoon()
      if (key.startsWith('Pod/') && type === 'DELETED' && this.pods.delete(object.metadata.uid ?? '')) {
        this.lost(object.metadata.uid ?? '')
        this.reconcileSoon()
      }
      const isTerraform = key.startsWith('Terraform/')
      if (isTerraform && object.status === undefined) this.leader?.process.notice(key as TerraformKey)
      else if (isTerraform && hasNews(object, previous)) this.leader?.process.notice(key as TerraformKey)
    })
    this.reconcileSoon()
  }

  /** The one that works now. */
  get process(): ControllerProcess | undefined {
    return this.leader?.process
  }

  get node(): NodeName | undefined {
    return this.options.pods.nodeOf(this.leader?.uid ?? '')
  }

  /** It crashes, and its container is started again. */
  crash(): void {
    const { uid } = this.leader ?? {}
    if (uid === undefined) return
    this.lost(uid)
    this.options.pods.restart(uid, (pod) => this.started(pod.uid))
  }

  /** Its machine goes without a word: the API forgets its pod, and what it has started works on. */
  vanish(): void {
    const { uid, process } = this.leader ?? {}
    if (uid === undefined) return
    process?.vanish()
    const key = this.pods.get(uid)
    if (key) this.options.api.remove(key, 0)
  }

  private reconcileSoon(): void {
    this.options.clock.act(this.options.random.between(50, 1_500), () => this.reconcile())
  }

  private reconcile(): void {
    const { api, pods, scaledAt } = this.options
    if (api.down) return void this.options.clock.act(5_000, () => this.reconcile())
    const wanted: number = api.get(deployment)?.spec?.replicas ?? 0
    const there = [...this.pods].filter(([, key]) => !api.get(key)?.metadata.deletionTimestamp)
    for (const [, key] of there.slice(wanted)) {
      this.stoppedAt = scaledAt()
      api.remove(key)
    }
    for (let missing = wanted - there.length; missing > 0; missing--) {
      const key = `Pod/flux-system/tofu-controller-${++this.count}`
      const options = { labels: podLabels, container: 'manager', graceSeconds, node: 'node-2' as const }
      const uid = pods.create(key, 'kube-controller-manager', { ...options, start: (pod) => this.started(pod.uid) })
      this.pods.set(uid, key)
    }
  }

  private started(uid: string): Program {
    let own: ControllerProcess | undefined
    const lead = () => {
      own = new ControllerProcess({ ...this.options, stoppedAt: () => this.stoppedAt })
      this.leader = { uid, process: own }
      this.stoppedAt = undefined
    }
    if (this.leader) this.standby.push({ uid, lead })
    else lead()
    return {
      terminate: (ended) => {
        const over = () => {
          this.lost(uid)
          ended()
        }
        if (own) own.terminate(over)
        else over()
      },
      kill: () => own?.kill(),
    }
  }

  /** Another one takes over. */
  private lost(uid: string): void {
    const waiting = this.standby.findIndex((each) => each.uid === uid)
    if (waiting >= 0) this.standby.splice(waiting, 1)
    if (this.leader?.uid !== uid) return
    this.leader = undefined
    this.standby.shift()?.lead()
  }
}

/** What a controller looks at again: the spec, and the request for a run. */
function hasNews(
  object: { metadata: { generation?: number; annotations?: object } },
  previous?: { metadata: { generation?: number; annotations?: object } },
): boolean {
  if (object.metadata.generation !== previous?.metadata.generation) return true
  return JSON.stringify(object.metadata.annotations) !== JSON.stringify(previous?.metadata.annotations)
}
