import * as z from 'zod'
import type { Kind } from '../kubernetes/cluster.ts'
import { requestedAt } from './annotations.ts'
import { type Condition, objectSchema, parseObject, statusFields, timeOf } from './object.ts'

export type SourceKind = 'GitRepository' | 'OCIRepository' | 'HelmChart'

/** A source object: where artifacts come from. */
export interface Source {
  readonly kind: SourceKind
  readonly namespace: string
  readonly name: string
  readonly key: string
  readonly suspended: boolean
  readonly url: string
  /** Branch of a GitRepository; undefined when it follows a tag, a semver range or a commit. */
  readonly branch: string | undefined
  /** HelmChart: the source that the chart is read from. */
  readonly from: { readonly kind: string; readonly namespace: string; readonly name: string } | undefined
  readonly generation: number
  readonly observedGeneration: number
  /** What the annotation asks for now, ours or another writer's. */
  readonly requested: string | undefined
  readonly handled: string | undefined
  /** Revision of the artifact that is served now. */
  readonly revision: string | undefined
  /** When that artifact was made, in milliseconds since the epoch, by the cluster's clock. */
  readonly revisedAt: number | undefined
  /** HelmChart: revision of the source that the chart was last built from. */
  readonly observedSourceRevision: string | undefined
  /** OCI artifacts pushed by `flux push artifact` carry the repository and revision that they were built from. */
  readonly origin: { readonly source: string | undefined; readonly revision: string | undefined }
  readonly conditions: readonly Condition[]
}

const refSchema = z.looseObject({
  branch: z.string().optional(),
  tag: z.string().optional(),
  semver: z.string().optional(),
  commit: z.string().optional(),
  name: z.string().optional(),
})

const sourceSchema = objectSchema.extend({
  spec: z.looseObject({
    url: z.string().default(''),
    suspend: z.boolean().default(false),
    ref: refSchema.optional(),
    sourceRef: z.looseObject({ kind: z.string(), name: z.string() }).optional(),
  }),
  status: z
    .looseObject({
      ...statusFields,
      artifact: z
        .looseObject({
          revision: z.string(),
          lastUpdateTime: z.string().optional(),
          metadata: z.record(z.string(), z.string()).optional(),
        })
        .optional(),
      observedSourceArtifactRevision: z.string().optional(),
    })
    .prefault({}),
})

/** Parses a source object. Throws ObjectUnreadable. */
export function parseSource(kind: SourceKind, raw: unknown): Source {
  const { metadata, spec, status } = parseObject(kind, sourceSchema, raw)
  const labels = status.artifact?.metadata ?? {}
  return {
    kind,
    namespace: metadata.namespace,
    name: metadata.name,
    key: `${kind}/${metadata.namespace}/${metadata.name}`,
    suspended: spec.suspend,
    url: spec.url,
    branch: branchOf(spec.ref),
    from: spec.sourceRef && { kind: spec.sourceRef.kind, namespace: metadata.namespace, name: spec.sourceRef.name },
    generation: metadata.generation,
    observedGeneration: status.observedGeneration,
    requested: metadata.annotations[requestedAt],
    handled: status.lastHandledReconcileAt,
    revision: status.artifact?.revision,
    revisedAt: timeOf(status.artifact?.lastUpdateTime),
    observedSourceRevision: status.observedSourceArtifactRevision,
    origin: {
      source: labels['org.opencontainers.image.source'],
      revision: labels['org.opencontainers.image.revision'],
    },
    conditions: status.conditions,
  }
}

/** source-controller's rules: commit, semver and tag win over branch; `name` is a full ref; the default is master. */
function branchOf(ref: z.infer<typeof refSchema> | undefined): string | undefined {
  if (!ref) return 'master'
  if (ref.name !== undefined) return /^refs\/heads\/(.+)$/.exec(ref.name)?.[1]
  if (ref.commit || ref.semver || ref.tag) return undefined
  return ref.branch ?? 'master'
}

/**
 * `host/owner/name` in lower case for an https, ssh or scp-like Git URL, with or without `.git`; undefined for
 * anything else. Two URLs of one repository give the same text.
 */
export function repositoryOf(url: string): string | undefined {
  const scp = /^(?:[^@/\s]+@)([^:/\s]+):(?!\/\/)(.+)$/.exec(url)
  const text = scp ? `ssh://${scp[1]}/${scp[2]}` : url
  if (!URL.canParse(text)) return undefined
  const parsed = new URL(text)
  if (!['http:', 'https:', 'ssh:', 'git:', 'oci:'].includes(parsed.protocol)) return undefined
  const path = parsed.pathname
    .replace(/^\/+|\/+$/g, '')
    .replace(/\.git$/, '')
    .toLowerCase()
  // ssh.github.com:443 is GitHub's own ssh endpoint for networks that only let 443 through.
  const host = parsed.hostname.toLowerCase().replace(/^ssh\.github\.com$/, 'github.com')
  return path ? `${host}/${path}` : undefined
}

export const sourceKinds: readonly SourceKind[] = ['GitRepository', 'OCIRepository', 'HelmChart']

export function isSourceKind(kind: Kind): kind is SourceKind {
  return (sourceKinds as readonly Kind[]).includes(kind)
}
