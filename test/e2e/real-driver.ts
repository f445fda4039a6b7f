import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import type { ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import type { ControllerDriver, DrivenObject, Sighting } from '../contracts/controller-driver.ts'
import { ApiRefused, NotSeen, type ObjectKey } from './cluster/api.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { kinds } from './cluster/kinds.ts'
import { ObjectStream } from './object-stream.ts'

/** Which process reconciles a kind. */
const controllers: Readonly<Record<ObjectRef['kind'], string>> = {
  GitRepository: 'source-controller',
  OCIRepository: 'source-controller',
  HelmChart: 'source-controller',
  Kustomization: 'kustomize-controller',
  HelmRelease: 'helm-controller',
  Terraform: 'tofu-controller',
}

/** How much of a controller's log stands in an error. */
const logLines = 15

/** A namespace and a repository of their own in a running cluster: any number of drivers work side by side. */
export class RealDriver implements ControllerDriver {
  readonly namespace: string
  readonly url: string
  protected readonly cluster: RunningCluster
  readonly #stopping = new AbortController()
  readonly #streams = new Map<ObjectRef['kind'], ObjectStream>()

  protected constructor(cluster: RunningCluster, namespace: string, url: string) {
    this.cluster = cluster
    this.namespace = namespace
    this.url = url
  }

  static async start(cluster: RunningCluster): Promise<RealDriver> {
    return new RealDriver(cluster, ...(await RealDriver.place(cluster)))
  }

  /** A new namespace, and the URL of the new repository of the same name. */
  protected static async place(cluster: RunningCluster): Promise<[namespace: string, url: string]> {
    const namespace = `driven-${randomBytes(4).toString('hex')}`
    await cluster.api.create({ ...kinds.Namespace, metadata: { name: namespace } })
    return [namespace, await cluster.git.createRepository(namespace)]
  }

  async push(files: Record<string, readonly object[]> = {}): Promise<string> {
    const entries = Object.entries(files)
    const sha = await this.cluster.git.commit(this.namespace, 'main', {
      files: Object.fromEntries(
        entries
          .filter(([, documents]) => documents.length > 0)
          .map(([path, documents]) => [path, documents.map((document) => stringify(document)).join('---\n')]),
      ),
      remove: entries.filter(([, documents]) => documents.length === 0).map(([path]) => path),
    })
    return `main@sha1:${sha}`
  }

  async apply(object: object): Promise<void> {
    await this.cluster.api.apply(object as KubernetesObject)
  }

  async remove(ref: ObjectRef): Promise<void> {
    try {
      await this.cluster.api.delete(keyOf(ref))
    } catch (error) {
      if (!(error instanceof ApiRefused && error.status === 404)) throw error
    }
  }

  async request(ref: ObjectRef, token: string): Promise<void> {
    const annotations = { 'reconcile.fluxcd.io/requestedAt': token }
    await this.cluster.api.patch(keyOf(ref), { metadata: { annotations } })
  }

  async suspend(ref: ObjectRef, suspend: boolean, fieldManager = 'lockstep'): Promise<void> {
    await this.cluster.api.patch(keyOf(ref), { spec: { suspend } }, { fieldManager })
  }

  async get(ref: ObjectRef): Promise<DrivenObject | undefined> {
    return this.cluster.api.find(keyOf(ref))
  }

  observe({ kind, name }: ObjectRef): Promise<readonly Sighting[]> {
    return this.#stream(kind).record(name)
  }

  async until(ref: ObjectRef, holds: (object: DrivenObject) => boolean, timeoutMs = 600_000): Promise<Sighting> {
    try {
      return await this.#stream(ref.kind).until(ref.name, holds, timeoutMs)
    } catch (error) {
      if (!(error instanceof NotSeen)) throw error
      throw new Error([error.message, ...(await this.#events(ref)), ...this.#log(ref)].join('\n'), { cause: error })
    }
  }

  now(): number {
    return Date.now()
  }

  wait(ms: number): Promise<void> {
    return pause(ms)
  }

  /** The namespace goes with all that is in it; nobody waits for that. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.cluster.api.delete({ ...kinds.Namespace, name: this.namespace })
  }

  #stream(kind: ObjectRef['kind']): ObjectStream {
    const known = this.#streams.get(kind)
    if (known) return known
    const stream = new ObjectStream(this.cluster.api, kinds[kind], this.namespace, this.#stopping.signal)
    this.#streams.set(kind, stream)
    return stream
  }

  async #events({ kind, namespace, name }: ObjectRef): Promise<string[]> {
    const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${name}`
    const events = await this.cluster.api.list(kinds.Event, { namespace, fieldSelector })
    return ['Events:', ...events.map(({ reason, message }) => `  ${reason}: ${message}`)]
  }

  #log({ kind }: ObjectRef): string[] {
    const controller = controllers[kind]
    if (!this.cluster.processes.includes(controller)) return []
    const lines = this.cluster.process(controller).output().split('\n')
    const own = lines.filter((line) => line.includes(this.namespace)).slice(-logLines)
    return [`Log of ${controller}:`, ...own.map((line) => `  ${line}`)]
  }
}

function keyOf({ kind, namespace, name }: ObjectRef): ObjectKey {
  return { ...kinds[kind], namespace, name }
}
