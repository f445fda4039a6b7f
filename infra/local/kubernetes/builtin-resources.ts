import { builtinResources, type Resource } from '../../../functions/lib/kubernetes/cluster.ts'

export { builtinResources }

/** The kinds that live outside of namespaces. */
export function isClusterScoped(resource: Resource): boolean {
  return resource.plural === builtinResources.Node.plural && resource.group === ''
}

/** The kinds with a /scale subresource. */
export function isScalable(resource: Resource): boolean {
  return resource.plural === builtinResources.Deployment.plural && resource.group === builtinResources.Deployment.group
}
