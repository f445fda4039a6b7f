import * as z from 'zod'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject, ObjectStore } from '../kubernetes/object-store.ts'
import type { GitServer, Tree } from './git-server.ts'
import { isServed, keyOf } from './kinds.ts'
import type { OciRegistry } from './oci-registry.ts'

const artifactSchema = z.looseObject({
  revision: z.string(),
  digest: z.string().default(''),
  metadata: z.record(z.string(), z.string()).default({}),
})

export type Artifact = z.infer<typeof artifactSchema>

export interface CachedSource {
  readonly kind: string
  readonly url: string
  /** What the source serves now; undefined before its first fetch. */
  readonly artifact: Artifact | undefined
  /** What it served before. */
  readonly previous: Artifact | undefined
}

/** A controller's informer on sources: their artifacts by key, and a call for each new one. */
export class SourceCache {
  private readonly store: ObjectStore
  private readonly kinds: readonly Resource[]
  private readonly git: GitServer
  private readonly registry: OciRegistry
  private readonly sources = new Map<string, CachedSource>()
  private unsubscribe: (() => void)[] = []

  constructor(store: ObjectStore, git: GitServer, registry: OciRegistry, kinds: readonly Resource[]) {
    this.store = store
    this.git = git
    this.registry = registry
    this.kinds = kinds
  }

  /** `onArtifact` gets the source's key whenever its artifact has a new revision, inside the store's event. */
  start(onArtifact: (key: string, artifact: Artifact) => void): void {
    if (this.unsubscribe.length > 0) return
    for (const kind of this.kinds.filter((candidate) => isServed(this.store, candidate))) {
      for (const object of this.store.list(kind).items) this.remember(object)
      const stop = this.store.subscribe(kind, ({ type, object }) => {
        if (type === 'DELETED') {
          this.sources.delete(keyOf(object))
          return
        }
        const artifact = this.remember(object)
        if (artifact) onArtifact(keyOf(object), artifact)
      })
      this.unsubscribe.push(stop)
    }
  }

  stop(): void {
    for (const stop of this.unsubscribe) stop()
    this.unsubscribe = []
    this.sources.clear()
  }

  get(key: string): CachedSource | undefined {
    return this.sources.get(key)
  }

  /** Reads a source past the cache, for when the controller has not started. */
  read(key: string): CachedSource | undefined {
    const [name, namespace, kind] = key.split('/').reverse()
    const resource = this.kinds.find((candidate) => candidate.kind === kind)
    const object = resource && this.store.get(resource, namespace ?? '', name ?? '')
    return object && sourceOf(object)
  }

  /** The files of an artifact; undefined when the repository does not have its commit. */
  content(source: CachedSource, artifact: Artifact): Tree | undefined {
    if (source.kind === 'GitRepository') return this.git.find(source.url, commitOf(artifact.revision))?.tree
    const originSource = artifact.metadata['org.opencontainers.image.source']
    const originRevision = artifact.metadata['org.opencontainers.image.revision']
    if (!originSource || !originRevision) return undefined
    return this.registry.content({ originSource, originRevision })
  }

  /** Answers the artifact when its revision is new. */
  private remember(object: KubernetesObject): Artifact | undefined {
    const key = keyOf(object)
    const before = this.sources.get(key)
    const source = sourceOf(object)
    const isNew = source.artifact !== undefined && source.artifact.revision !== before?.artifact?.revision
    this.sources.set(key, { ...source, previous: isNew ? before?.artifact : before?.previous })
    return isNew ? source.artifact : undefined
  }
}

function sourceOf(object: KubernetesObject): CachedSource {
  return {
    kind: object.kind,
    url: String(object.spec?.url ?? ''),
    artifact: artifactSchema.safeParse(object.status?.artifact).data,
    previous: undefined,
  }
}

/** The commit of a Git revision, `main@sha1:<hex>`. */
export function commitOf(revision: string): string {
  return revision.split(':').at(-1) ?? ''
}

/** The key of a source that `spec.sourceRef` names, from an object in `namespace`. */
export function sourceKey(
  ref: { kind: string; name: string; namespace?: string | undefined },
  namespace: string,
): string {
  return `${ref.kind}/${ref.namespace ?? namespace}/${ref.name}`
}

/** A reference to a source, as Kustomization, HelmChart and Terraform have it. */
export const sourceRefSchema = z.looseObject({
  kind: z.string(),
  name: z.string(),
  namespace: z.string().optional(),
})

export const dependsOnSchema = z
  .array(z.looseObject({ name: z.string(), namespace: z.string().optional() }))
  .default([])
