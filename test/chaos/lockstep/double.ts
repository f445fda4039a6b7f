import type { Cluster } from '../../../functions/lib/kubernetes/cluster.ts'
import type { LockStore } from '../../../functions/lib/locks/stores/lock-store.ts'
import type { ChaosLockStore } from '../world/lock-place.ts'

/**
 * What Lockstep must not be without, each replaced by something that does not do it: with any of them runs must go wrong,
 * or nothing is proven by those that do not.
 */
export const doubles = [
  'always-stale', // a judge for whom every holder is dead
  'nothing-put-back', // whoever puts back changes nothing
  'deletes-anything', // whatever lock is there is deleted, be it the one that was judged or not
  'turn-never-lost', // whoever restores keeps nobody else from changing more
] as const
export type Double = (typeof doubles)[number]

const restorers: ReadonlySet<string> = new Set(['unlock-put-back', 'unlock-conclude', 'unlock-watch'])

/** The cluster as a function sees it. */
export function clusterWith(double: Double | undefined, functionName: string, cluster: Cluster): Cluster {
  if (double !== 'nothing-put-back' || !restorers.has(functionName)) return cluster
  const patch: Cluster['patch'] = (ref) => cluster.get(ref)
  return new Proxy(cluster, { get: (target, name) => (name === 'patch' ? patch : bound(target, name)) })
}

export function storeWith(double: Double | undefined, store: ChaosLockStore): LockStore {
  if (double !== 'deletes-anything') return store
  const deleteIfUnchanged: LockStore['deleteIfUnchanged'] = ({ address }) => {
    const found = store.at(address)
    return found ? store.deleteIfUnchanged(found) : Promise.resolve('gone')
  }
  return new Proxy(store, {
    get: (target, name) => (name === 'deleteIfUnchanged' ? deleteIfUnchanged : bound(target, name)),
  })
}

function bound(target: object, name: string | symbol): unknown {
  const value = Reflect.get(target, name)
  return typeof value === 'function' ? value.bind(target) : value
}
