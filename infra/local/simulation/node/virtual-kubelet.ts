import type { Clock } from '../../../../functions/lib/clock.ts'
import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject, ObjectStore } from '../../kubernetes/object-store.ts'
import { timestamp } from '../conditions.ts'
import { isServed } from '../kinds.ts'
import { VirtualPod } from './virtual-pod.ts'
import type { MakeProcess } from './virtual-process.ts'

const { Node, Pod } = builtinResources

export interface VirtualKubeletOptions {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly make: MakeProcess
  /** Name of the Node. Default: `node-1`. */
  readonly node?: string
}

/** The only node of a simulated cluster, and its scheduler: it runs every pod. */
export class VirtualKubelet {
  private readonly options: VirtualKubeletOptions
  private node: string
  private nodes = 1
  /** By uid. */
  private readonly pods = new Map<string, VirtualPod>()
  private addresses = 0
  private unsubscribe: (() => void) | undefined

  constructor(options: VirtualKubeletOptions) {
    this.options = options
    this.node = options.node ?? 'node-1'
  }

  start(): void {
    if (this.unsubscribe) return
    this.register()
    this.unsubscribe = this.options.store.subscribe(Pod, ({ type, object }) => {
      if (type === 'DELETED') this.pods.get(object.metadata.uid ?? '')?.removed()
      else this.see(object)
    })
    for (const pod of this.options.store.list(Pod).items) this.see(pod)
  }

  /** Kills everything and goes. The pods stay in the API as they are. */
  stop(): void {
    this.unsubscribe?.()
    this.unsubscribe = undefined
    for (const pod of [...this.pods.values()]) pod.removed()
  }

  /**
   * The node is gone for good: its processes end without a word, its Node and its pods are deleted. From now on another
   * one runs the pods.
   */
  loseNode(): void {
    const { store } = this.options
    const lost = [...this.pods.values()]
    for (const pod of lost) pod.kill('hold')
    store.delete(Node, '', this.node)
    this.nodes++
    this.node = `node-${this.nodes}`
    this.register()
    for (const { object } of lost) {
      store.delete(Pod, object.metadata.namespace ?? '', object.metadata.name, { gracePeriodSeconds: 0 })
    }
  }

  /** The cluster loses sight of the node, whose processes work on, until it `answers` again. */
  silence(): void {
    this.showReady('Unknown', 'NodeStatusUnknown')
  }

  answers(): void {
    this.showReady('True', 'KubeletReady')
  }

  /** The pod of that name that is not gone yet, its process alive or not. */
  find(namespace: string, name: string): VirtualPod | undefined {
    return this.running(({ metadata }) => metadata.namespace === namespace && metadata.name === name).at(-1)
  }

  /** The pods that are not gone yet, oldest first. */
  running(wanted: (pod: KubernetesObject) => boolean): VirtualPod[] {
    return [...this.pods.values()].filter(({ object }) => wanted(object))
  }

  private register(): void {
    const { store } = this.options
    if (!isServed(store, Node) || store.get(Node, '', this.node)) return
    store.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: this.node } }, 'kubelet')
    this.showReady('True', 'KubeletReady')
  }

  private showReady(status: 'True' | 'Unknown', reason: string): void {
    const { store, clock } = this.options
    const show = (node: KubernetesObject) => {
      const lastTransitionTime = timestamp(clock)
      node.status = { conditions: [{ type: 'Ready', status, reason, lastTransitionTime }] }
    }
    store.update(Node, '', this.node, show, { manager: 'kubelet', subresource: 'status' })
  }

  private see(object: KubernetesObject): void {
    const uid = object.metadata.uid ?? ''
    const known = this.pods.get(uid)
    if (known) {
      known.update(object)
      return
    }
    if (!this.isToRun(object)) return
    const { store, clock, make } = this.options
    const onGone = () => this.pods.delete(uid)
    const pod = new VirtualPod({ store, clock, node: this.node, ip: this.newAddress(), make, onGone }, object)
    this.pods.set(uid, pod)
    pod.start()
  }

  private isToRun({ spec, status }: KubernetesObject): boolean {
    const hasEnded = ['Failed', 'Succeeded'].includes(status?.phase)
    return !hasEnded && (spec?.nodeName === undefined || spec.nodeName === this.node)
  }

  private newAddress(): string {
    this.addresses++
    return `10.244.${this.addresses >> 8}.${this.addresses & 255}`
  }
}
