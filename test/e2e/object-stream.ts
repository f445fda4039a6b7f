import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import type { Sighting } from '../contracts/controller-driver.ts'
import { type Api, NotSeen } from './cluster/api.ts'
import type { Kind } from './cluster/kinds.ts'

interface Version extends Sighting {
  readonly object: KubernetesObject
}

/**
 * The objects of one kind in one namespace, by one watch: who waits and who records sees the same versions in the same
 * order. Nobody is shown an older version than the one that the server has when it is asked.
 */
export class ObjectStream {
  readonly #api: Api
  readonly #kind: Kind
  readonly #namespace: string
  readonly #latest = new Map<string, Version>()
  readonly #listeners = new Set<(version: Version) => void>()
  /** Rejects when the watch fails for good. */
  readonly #failed: Promise<never>

  constructor(api: Api, kind: Kind, namespace: string, signal: AbortSignal) {
    this.#api = api
    this.#kind = kind
    this.#namespace = namespace
    const followed = this.#follow(signal)
    this.#failed = followed.then(() => new Promise<never>(() => {}))
    this.#failed.catch(() => {})
  }

  /** Every version from now on; the list grows as they come. */
  async record(name: string): Promise<readonly Sighting[]> {
    const from = await this.#versionNow(name)
    const seen: Sighting[] = []
    this.#listeners.add((version) => {
      if (version.object.metadata.name === name && versionOf(version.object) > from) seen.push(version)
    })
    return seen
  }

  /** The first version that is as wanted. Throws NotSeen. */
  async until(name: string, wanted: (object: KubernetesObject) => boolean, withinMs: number): Promise<Sighting> {
    const from = await this.#versionNow(name)
    let stop = () => {}
    const found = new Promise<Sighting>((resolve) => {
      const look = (version: Version) => {
        const { object } = version
        if (object.metadata.name === name && versionOf(object) >= from && wanted(object)) resolve(version)
      }
      const latest = this.#latest.get(name)
      if (latest) look(latest)
      this.#listeners.add(look)
      stop = () => this.#listeners.delete(look)
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const what = `${this.#kind.kind}/${this.#namespace}/${name}, as the test wants it`
      timer = setTimeout(() => reject(new NotSeen(what, withinMs, this.#latest.get(name)?.object)), withinMs)
    })
    return Promise.race([found, late, this.#failed]).finally(() => {
      clearTimeout(timer)
      stop()
    })
  }

  async #versionNow(name: string): Promise<bigint> {
    const object = await this.#api.find({ ...this.#kind, namespace: this.#namespace, name })
    return object ? versionOf(object) : 0n
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const { type, object } of this.#api.follow(this.#kind, { namespace: this.#namespace, signal })) {
      if (type === 'DELETED') continue
      const version = { at: Date.now(), object }
      this.#latest.set(object.metadata.name, version)
      for (const listener of [...this.#listeners]) listener(version)
    }
  }
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions: they grow. */
function versionOf({ metadata }: KubernetesObject): bigint {
  return BigInt(metadata.resourceVersion ?? 0)
}
