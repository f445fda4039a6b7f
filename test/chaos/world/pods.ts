import type { KubernetesObject, StoreEvent } from '../../../infra/local/kubernetes/object-store.ts'
import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import { type Api, timeText } from './api.ts'
import { type NodeName, type Nodes, nodeNames } from './nodes.ts'

/** What runs in a pod's container. */
export interface Program {
  /** SIGTERM; calls back when it has ended. Undefined: it takes no notice. */
  terminate?(ended: () => void): void
  /** SIGKILL. */
  kill(): void
}

interface Pod {
  readonly key: string
  readonly uid: string
  readonly node: NodeName
  readonly container: string
  program: Program | undefined
  restarts: number
  isEnding: boolean
  hasEnded: boolean
  isGone: boolean
}

export interface PodOptions {
  readonly labels: object
  /** The container's name. */
  readonly container: string
  readonly graceSeconds: number
  /** Where it goes when it can; seldom it goes elsewhere. */
  readonly node: NodeName
  /** Its container runs: what is in it. */
  readonly start: (pod: RunningPod) => Program
}

/** A pod whose container runs. */
export interface RunningPod {
  readonly key: string
  readonly uid: string
  readonly node: NodeName
}

/** The pods, and the kubelets of their nodes. */
export class Pods {
  private readonly clock: ChaosClock
  private readonly api: Api
  private readonly nodes: Nodes
  private readonly random: Random
  private readonly pods = new Map<string, Pod>()

  constructor(clock: ChaosClock, api: Api, nodes: Nodes, random: Random) {
    this.clock = clock
    this.api = api
    this.nodes = nodes
    this.random = random
    api.follow((key, event) => {
      if (key.startsWith('Pod/')) this.changed(event)
    })
  }

  /** Creates a pod; some seconds later it runs. Answers its UID. */
  create(key: string, manager: string, options: PodOptions): string {
    const node = this.nodeFor(options)
    const { container, graceSeconds, labels } = options
    const spec = { nodeName: node, terminationGracePeriodSeconds: graceSeconds, containers: [{ name: container }] }
    const made = this.api.create(key, manager, { labels, spec })
    const uid = made.metadata.uid ?? ''
    const pod: Pod = {
      ...{ key, uid, node, container, program: undefined, restarts: 0 },
      ...{ isEnding: false, hasEnded: false, isGone: false },
    }
    this.pods.set(uid, pod)
    this.clock.act(this.random.between(1_000, 8_000), () => {
      if (pod.isEnding || pod.isGone || this.nodes.isSilent(node)) return
      pod.program = options.start(pod)
      this.show(pod, 'Running')
    })
    return uid
  }

  /** Whether this very pod is there and its container runs. */
  isRunning(uid: string): boolean {
    const pod = this.pods.get(uid)
    return pod?.program !== undefined && !pod.isEnding && !pod.isGone
  }

  nodeOf(uid: string): NodeName | undefined {
    return this.pods.get(uid)?.node
  }

  /** The container is killed, and another one started in its place. */
  restart(uid: string, start: (pod: RunningPod) => Program): void {
    const pod = this.pods.get(uid)
    if (!pod?.program || pod.isEnding || this.nodes.isSilent(pod.node)) return
    pod.program.kill()
    pod.restarts++
    pod.program = start(pod)
    this.show(pod, 'Running')
  }

  /** All of its processes are killed, and it is not started again: evicted, or out of memory. */
  fail(uid: string): void {
    const pod = this.pods.get(uid)
    if (!pod || pod.hasEnded || this.nodes.isSilent(pod.node)) return
    pod.program?.kill()
    pod.program = undefined
    pod.hasEnded = true
    this.show(pod, 'Failed')
  }

  /** Everything on a machine ends at once, and nobody is told. */
  killAll(name: NodeName): void {
    for (const pod of this.pods.values()) {
      if (pod.node !== name) continue
      pod.program?.kill()
      pod.program = undefined
    }
  }

  /** The machine has no power any more: all that ran there is dead. Another one comes, and its pods are forgotten. */
  loseNode(name: NodeName): void {
    for (const pod of this.pods.values()) {
      if (pod.node !== name || pod.hasEnded) continue
      this.ended(pod)
      if (!pod.isGone) this.api.remove(pod.key, 0)
    }
    this.nodes.replace(name)
  }

  /** It hears again what was deleted meanwhile, and ends that. */
  reconnect(name: NodeName): void {
    this.nodes.answerAgain(name)
    for (const pod of this.pods.values()) {
      if (pod.node !== name || pod.hasEnded) continue
      const object = this.api.get(pod.key)
      if (object?.metadata.uid !== pod.uid) this.ended(pod)
      else if (object.metadata.deletionTimestamp) this.terminate(pod, object)
    }
  }

  private nodeFor({ node }: PodOptions): NodeName {
    const there = nodeNames.filter((name) => !this.nodes.isSilent(name))
    return there.includes(node) && this.random.chance(0.85) ? node : this.random.pick(there.length > 0 ? there : [node])
  }

  private changed({ type, object, previous }: StoreEvent): void {
    const pod = this.pods.get(object.metadata.uid ?? '')
    if (!pod) return
    if (type === 'DELETED') {
      pod.isGone = true
      // Deleted by force: whoever hears of it ends the process.
      if (!this.nodes.isSilent(pod.node)) this.ended(pod)
      return
    }
    if (!object.metadata.deletionTimestamp || previous?.metadata.deletionTimestamp) return
    this.clock.act(this.random.between(10, 1_000), () => this.terminate(pod, object))
  }

  private terminate(pod: Pod, { metadata }: KubernetesObject): void {
    if (pod.isEnding || this.nodes.isSilent(pod.node)) return
    pod.isEnding = true
    const seconds = metadata.deletionGracePeriodSeconds
    const graceMs = (typeof seconds === 'number' ? seconds : 30) * 1_000
    const finish = () => {
      // Its node may have fallen silent meanwhile.
      if (this.nodes.isSilent(pod.node)) {
        pod.isEnding = false
        return
      }
      this.ended(pod)
      if (!pod.isGone && !this.api.down) this.api.remove(pod.key, 0)
      else if (!pod.isGone) this.clock.act(10_000, finish)
    }
    const cancel = this.clock.act(graceMs, finish)
    const finishEarly = () => {
      cancel()
      finish()
    }
    if (!pod.program) this.clock.act(100, finishEarly)
    else pod.program.terminate?.(finishEarly)
  }

  private ended(pod: Pod): void {
    pod.program?.kill()
    pod.program = undefined
    pod.hasEnded = true
  }

  private show(pod: Pod, phase: 'Running' | 'Failed'): void {
    const at = timeText(this.nodes.timeOn(pod.node))
    const ended = { terminated: { finishedAt: at } }
    const status = {
      phase,
      conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }],
      containerStatuses: [
        {
          ...{ name: pod.container, restartCount: pod.restarts, containerID: `${pod.uid}-${pod.restarts}` },
          state: phase === 'Running' ? { running: { startedAt: at } } : ended,
          ...(pod.restarts > 0 && { lastState: ended }),
        },
      ],
    }
    this.api.editStatus(pod.key, 'kubelet', (object) => {
      if (object.metadata.uid === pod.uid) object.status = status
    })
  }
}
