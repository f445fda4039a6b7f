import { type Resource, resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject, ObjectStore } from '../kubernetes/object-store.ts'

/** The kinds that the simulated controllers reconcile. */
export const simulatedKinds = {
  ...resources,
  HelmRepository: {
    kind: 'HelmRepository',
    group: 'source.toolkit.fluxcd.io',
    version: 'v1',
    plural: 'helmrepositories',
  },
} as const satisfies Record<string, Resource>

export const podResource: Resource = { kind: 'Pod', group: '', version: 'v1', plural: 'pods' }

/** Whether a CRD of the simulated controllers defines this object's kind, at any version. */
export function simulatedKind(apiVersion: string, kind: string): Resource | undefined {
  const resource = Object.values(simulatedKinds).find((candidate) => candidate.kind === kind)
  return resource?.group === groupOf(apiVersion) ? resource : undefined
}

/** The resource of any object: a known one, else with its plural guessed by the rules of English that CRDs follow. */
export function resourceOf(apiVersion: string, kind: string): Resource {
  const known = simulatedKind(apiVersion, kind)
  if (known) return known
  return { kind, group: groupOf(apiVersion), version: apiVersion.split('/').at(-1) ?? '', plural: pluralOf(kind) }
}

export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}

function pluralOf(kind: string): string {
  const name = kind.toLowerCase()
  if (/(s|x|ch|sh)$/.test(name)) return `${name}es`
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`
  return `${name}s`
}

export function isServed(store: ObjectStore, { group, version, plural }: Resource): boolean {
  return store.served().some((one) => one.group === group && one.version === version && one.plural === plural)
}

/** `Kustomization/flux-system/apps`: how the simulation names objects, as people and the ledger do. */
export function keyOf(object: KubernetesObject): string {
  return `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`
}
