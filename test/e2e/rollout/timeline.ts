import { type ObjectRef, refKey, resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { Api } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'

/** One version of an object. */
export interface Moment {
  /** resourceVersion: one counter for the whole cluster, so moments of different objects can be compared. */
  readonly version: number
  /** When we heard of it (performance.now, milliseconds). */
  readonly at: number
  readonly key: string
  readonly deleted: boolean
  readonly object: KubernetesObject
}

const watched = [kinds.GitRepository, kinds.Kustomization, kinds.HelmRelease, kinds.Terraform]

/** Everything that happens to the sources and workloads of one namespace, as the API server tells it. */
export class Timeline {
  readonly moments: Moment[] = []
  readonly #ending = new AbortController()
  readonly #listeners = new Set<() => void>()
  readonly #latest = new Map<string, KubernetesObject>()

  constructor(api: Api, namespace: string) {
    for (const kind of watched) void this.#follow(api, kind, namespace)
  }

  /** Versions of one object that came after `version`, oldest first. */
  of(ref: ObjectRef, version = 0): Moment[] {
    const key = refKey(ref)
    return this.moments.filter((moment) => moment.key === key && moment.version > version)
  }

  latest(ref: ObjectRef): KubernetesObject | undefined {
    return this.#latest.get(refKey(ref))
  }

  /** Every workload as it is now. */
  workloads(): KubernetesObject[] {
    return [...this.#latest.values()].filter(({ kind }) => kind !== resources.GitRepository.kind)
  }

  get version(): number {
    return this.moments.reduce((newest, { version }) => Math.max(newest, version), 0)
  }

  /** The first answer of `look` that is not undefined; asked after every change. */
  until<T>(what: string, look: () => T | undefined, timeoutMs = 600_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        this.#listeners.delete(again)
      }
      const again = () => {
        const seen = look()
        if (seen === undefined) return
        end()
        resolve(seen)
      }
      const timer = setTimeout(() => {
        end()
        const objects = [...this.#latest.values()].map(({ kind, metadata, spec, status }) => ({
          ...{ object: `${kind}/${metadata.name}`, suspend: spec?.suspend, annotations: metadata.annotations, status },
        }))
        reject(new Error(`${what}: not seen within ${timeoutMs / 1_000} s: ${JSON.stringify(objects, undefined, 1)}`))
      }, timeoutMs)
      this.#listeners.add(again)
      again()
    })
  }

  /** What happened after `version`, a line for each write, for error messages. */
  story(version: number): string {
    const told = this.moments.filter((moment) => moment.version > version)
    return told
      .map(({ version, key, object, deleted }) => `${version} ${key} ${deleted ? 'deleted' : gist(object)}`)
      .join('\n')
  }

  stop(): void {
    this.#ending.abort()
  }

  async #follow(api: Api, kind: (typeof watched)[number], namespace: string): Promise<void> {
    for await (const { type, object } of api.follow(kind, { namespace, signal: this.#ending.signal })) {
      const { name, resourceVersion = '0' } = object.metadata
      const key = `${object.kind}/${namespace}/${name}`
      const deleted = type === 'DELETED'
      if (deleted) this.#latest.delete(key)
      else this.#latest.set(key, object)
      this.moments.push({ version: Number(resourceVersion), at: performance.now(), key, deleted, object })
      for (const listener of [...this.#listeners]) listener()
    }
  }
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

export function conditionIn({ status }: KubernetesObject, type: string): Condition | undefined {
  return status?.conditions?.find((condition: Condition) => condition.type === type)
}

function gist({ spec, status, metadata }: KubernetesObject): string {
  const conditions: Condition[] = status?.conditions ?? []
  return [
    spec?.suspend ? 'suspended' : 'open',
    `generation ${status?.observedGeneration}/${metadata.generation}`,
    `at ${status?.lastAppliedRevision?.slice(-8)}, tried ${status?.lastAttemptedRevision?.slice(-12)}`,
    ...conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`),
  ].join(', ')
}

/** Ready at a commit, by what the controller itself says. A HelmRelease tells the commit in its chart's version. */
export function isReadyAt(object: KubernetesObject, commit: string): boolean {
  const { kind, metadata, status, spec } = object
  if (conditionIn(object, 'Ready')?.status !== 'True' || status?.observedGeneration !== metadata.generation)
    return false
  if (spec?.suspend) return false
  if (kind === 'HelmRelease') return status?.history?.[0]?.chartVersion?.endsWith(`+${commit.slice(0, 12)}`) === true
  return status?.lastAppliedRevision?.endsWith(commit) === true
}

/** Its controller is at work on it. */
export function isAtWork(object: KubernetesObject): boolean {
  return conditionIn(object, 'Reconciling')?.status === 'True'
}
