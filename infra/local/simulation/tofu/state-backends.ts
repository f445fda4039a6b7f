import type { ObjectStore } from '../../kubernetes/object-store.ts'
import type { Backend, CustomBackend } from './backend-config.ts'
import { KubernetesState } from './kubernetes-state.ts'
import { MemoryState } from './memory-state.ts'
import type { StateBackend } from './state-backend.ts'

/** Opens a backend by name, with the attributes of its block; undefined when it does not know that backend. */
export type OpenBackend = (backend: CustomBackend) => StateBackend | undefined

/**
 * The states of one simulated cluster. Kubernetes' are objects of the cluster. Others are asked of `open`; those that
 * it does not know are kept in memory, where nobody can break their locks.
 */
export class StateBackends {
  private readonly store: ObjectStore
  private readonly open: OpenBackend
  private readonly inMemory = new Map<string, MemoryState>()

  constructor(store: ObjectStore, open: OpenBackend = () => undefined) {
    this.store = store
    this.open = open
  }

  /** `key` names the object whose state it is. */
  of(key: string, backend: Backend): StateBackend {
    if (backend.type === 'kubernetes') return new KubernetesState(this.store, backend)
    if (backend.type === 'disabled') return this.remembered(key, '', false)
    const { bucket, key: path, ...rest } = backend.attributes
    const opened = this.open(backend)
    if (opened) return opened
    const place = bucket && path ? `${bucket}/${path}` : JSON.stringify(rest)
    return this.remembered(`${backend.name} ${place}`, bucket && path ? place : '', true)
  }

  private remembered(name: string, path: string, locking: boolean): MemoryState {
    const found = this.inMemory.get(name)
    if (found) return found
    const created = new MemoryState(path, { locking })
    this.inMemory.set(name, created)
    return created
  }
}
