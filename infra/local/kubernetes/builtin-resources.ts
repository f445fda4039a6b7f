import { builtinResources as known, type Resource } from '../../../functions/lib/kubernetes/cluster.ts'

/** Kinds that every API server has, as far as Lockstep meets them. */
export const builtinResources = {
  Deployment: { kind: 'Deployment', group: 'apps', version: 'v1', plural: 'deployments' },
  Pod: { kind: 'Pod', group: '', version: 'v1', plural: 'pods' },
  Secret: { kind: 'Secret', group: '', version: 'v1', plural: 'secrets' },
  Lease: known.Lease,
  Node: { kind: 'Node', group: '', version: 'v1', plural: 'nodes' },
} as const satisfies Record<string, Resource>

/** The kinds that live outside of namespaces. */
export function isClusterScoped(resource: Resource): boolean {
  return resource.plural === builtinResources.Node.plural && resource.group === ''
}

/** The kinds with a /scale subresource. */
export function isScalable(resource: Resource): boolean {
  return resource.plural === builtinResources.Deployment.plural && resource.group === builtinResources.Deployment.group
}
