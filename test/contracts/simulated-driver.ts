import { createHash } from 'node:crypto'
import { sleep } from '../../functions/lib/clock.ts'
import { type ObjectRef, refKey, resources } from '../../functions/lib/kubernetes/cluster.ts'
import { MemoryObjectStore } from '../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { GitServer } from '../../infra/local/simulation/git-server.ts'
import { podResource } from '../../infra/local/simulation/kinds.ts'
import { ClusterSimulation, type ClusterSimulationOptions } from '../../infra/local/simulation/simulation.ts'
import { VirtualClock } from '../../infra/local/virtual-clock.ts'
import type { ControllerDriver, DrivenObject, Sighting } from './controller-driver.ts'

/** Not kubectl's: what that sets is undone by the next apply. */
const manager = 'tests'

/** The simulation as a driver, with what only a simulation has: its faults, its log and its clock. */
export class SimulatedDriver implements ControllerDriver {
  readonly namespace = 'flux-system'
  readonly url = 'https://github.com/my-org/fleet-infra'
  readonly clock = new VirtualClock()
  readonly git = new GitServer()
  readonly store = new MemoryObjectStore({ clock: this.clock })
  readonly simulation: ClusterSimulation
  private pushes = 0

  constructor(options: Partial<ClusterSimulationOptions> = {}) {
    this.store.register(podResource)
    this.simulation = new ClusterSimulation({
      name: 'staging',
      clock: this.clock,
      git: this.git,
      store: this.store,
      ...options,
    })
  }

  start(): this {
    this.simulation.start()
    return this
  }

  async push(files: Record<string, readonly object[]> = {}): Promise<string> {
    const sha = createHash('sha1')
      .update(`${++this.pushes}`)
      .digest('hex')
    const entries = Object.entries(files)
    this.git.commit(this.url, 'main', sha, {
      write: Object.fromEntries(entries.filter(([, documents]) => documents.length > 0)),
      remove: entries.filter(([, documents]) => documents.length === 0).map(([path]) => path),
    })
    return `main@sha1:${sha}`
  }

  async apply(object: object): Promise<void> {
    const wanted = object as KubernetesObject
    const { metadata, kind } = wanted
    const resource = resources[kind as keyof typeof resources]
    const changed = this.store.update(
      resource,
      metadata.namespace ?? '',
      metadata.name,
      (current) => {
        current.spec = wanted.spec
        current.metadata.annotations = { ...current.metadata.annotations, ...metadata.annotations }
      },
      { manager },
    )
    if (!changed) this.store.create(resource, wanted, manager)
  }

  async remove({ kind, namespace, name }: ObjectRef): Promise<void> {
    this.store.delete(resources[kind], namespace, name)
  }

  async request(ref: ObjectRef, token: string): Promise<void> {
    this.change(ref, (object) => {
      object.metadata.annotations = { ...object.metadata.annotations, 'reconcile.fluxcd.io/requestedAt': token }
    })
  }

  async suspend(ref: ObjectRef, suspend: boolean, by = 'lockstep'): Promise<void> {
    const suspended = (object: KubernetesObject) => {
      object.spec.suspend = suspend
    }
    this.change(ref, suspended, by)
  }

  async get({ kind, namespace, name }: ObjectRef): Promise<DrivenObject | undefined> {
    return this.store.get(resources[kind], namespace, name)
  }

  async observe(ref: ObjectRef): Promise<readonly Sighting[]> {
    const seen: Sighting[] = []
    this.store.subscribe(resources[ref.kind], ({ type, object }) => {
      if (type !== 'DELETED' && refersTo(ref, object)) seen.push({ at: this.clock.now(), object })
    })
    return seen
  }

  until(ref: ObjectRef, holds: (object: DrivenObject) => boolean, timeoutMs = 120_000): Promise<Sighting> {
    return new Promise((resolve, reject) => {
      const resource = resources[ref.kind]
      const look = (object: KubernetesObject | undefined) => {
        if (!object || !refersTo(ref, object) || !holds(object)) return
        cancel()
        unsubscribe()
        resolve({ at: this.clock.now(), object })
      }
      const unsubscribe = this.store.subscribe(resource, ({ object }) => look(object))
      const cancel = this.clock.after(timeoutMs, () => {
        unsubscribe()
        const status = JSON.stringify(this.store.get(resource, ref.namespace, ref.name)?.status, undefined, 2)
        reject(new Error(`${refKey(ref)} is not as expected after ${timeoutMs / 1_000} s: ${status}`))
      })
      look(this.store.get(resource, ref.namespace, ref.name))
    })
  }

  now(): number {
    return this.clock.now()
  }

  wait(ms: number): Promise<void> {
    return sleep(this.clock, ms)
  }

  async stop(): Promise<void> {
    this.simulation.stop()
    this.clock.stop()
  }

  private change({ kind, namespace, name }: ObjectRef, change: (object: KubernetesObject) => void, by = manager): void {
    this.store.update(resources[kind], namespace, name, change, { manager: by })
  }
}

function refersTo({ namespace, name }: ObjectRef, { metadata }: KubernetesObject): boolean {
  return metadata.namespace === namespace && metadata.name === name
}
