import type { Api } from './api.ts'
import type { Guardian } from './guardian.ts'
import { kinds } from './kinds.ts'
import { findIsolation } from './kubelet-isolation.ts'
import { registerNode } from './kubelet-node.ts'
import { type PodHost, type PodProgram, PodRun } from './kubelet-pod.ts'
import { type Pod, podSchema } from './kubelet-pod-schema.ts'
import type { RunnerNetwork } from './runner-network.ts'

export interface KubeletOptions {
  readonly api: Api
  readonly guardian: Guardian
  readonly network: RunnerNetwork
  /** What it can run. It leaves all other pods alone. */
  readonly programs: readonly PodProgram[]
  /** Name of the Node that its pods are bound to. Default: `fake`. */
  readonly node?: string
  readonly say?: (line: string) => void
}

/**
 * A node without a container engine: a process for each pod whose program it knows. It is the scheduler, too: it binds
 * these pods to itself.
 */
export interface Kubelet {
  readonly node: string
  /** `namespaces`: each pod has PID and UTS namespaces of its own. `none`: the machine does not allow that. */
  readonly isolation: 'namespaces' | 'none'
  /** The pod of that name that was there last and is not gone yet, its process alive or not. */
  find(namespace: string, name: string): PodRun | undefined
  /** Its Node gets no more heartbeats, as when the node is lost. What runs there runs on. */
  silence(): Promise<void>
  /** Ends all its processes (SIGKILL) and waits for that. The pods stay in the API as they are. */
  stop(): Promise<void>
}

/** Registers the Node and starts to look after pods, those that are there already included. */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const { programs, node = 'fake', say = () => {} } = options
  const isolation = await findIsolation(say)
  const { silence } = await registerNode(options.api, node)
  const host: PodHost = { ...options, isolation, node, say }
  const runs = new Map<string, PodRun>()
  const stopping = new AbortController()

  const seen = (pod: Pod) => {
    const run = runs.get(pod.metadata.uid)
    if (run) return run.update(pod)
    const program = programs.find(({ name }) => name === pod.metadata.labels[programLabel])
    if (!program || !isToRun(pod, node)) return
    const started = new PodRun(host, program, pod)
    runs.set(pod.metadata.uid, started)
    started.done.then(() => runs.delete(pod.metadata.uid))
  }
  const follow = async () => {
    const labelSelector = `${programLabel} in (${programs.map(({ name }) => name).join(',')})`
    for await (const { type, object } of options.api.follow(kinds.Pod, { labelSelector, signal: stopping.signal })) {
      const pod = podSchema.safeParse(object)
      if (!pod.success) say(`A pod cannot be run: ${pod.error.message}`)
      else if (type === 'DELETED') runs.get(pod.data.metadata.uid)?.removed()
      else seen(pod.data)
    }
  }
  const following = follow().catch((error: unknown) => say(`The kubelet of ${node} ended: ${String(error)}`))

  return {
    node,
    isolation: isolation.kind,
    find: (namespace, name) => [...runs.values()].findLast((run) => run.namespace === namespace && run.name === name),
    silence,
    stop: async () => {
      stopping.abort()
      await Promise.all([silence(), following])
      const left = [...runs.values()]
      for (const run of left) run.removed()
      await Promise.all(left.map(({ done }) => done))
    },
  }
}

const programLabel = 'app.kubernetes.io/name'

/** Pods that ended, or that another node has, are nothing to start. */
function isToRun(pod: Pod, node: string): boolean {
  const hasEnded = pod.status.phase === 'Failed' || pod.status.phase === 'Succeeded'
  return !hasEnded && (pod.spec.nodeName === undefined || pod.spec.nodeName === node)
}
