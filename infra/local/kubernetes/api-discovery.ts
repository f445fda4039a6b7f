import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import { isClusterScoped, isScalable } from './builtin-resources.ts'

const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']

/** What the API server says about itself: health, version, groups and kinds. Undefined for any other path. */
export function discover(
  path: string,
  served: readonly Resource[],
  gitVersion = 'v1.35.0-lockstep-stand-in',
): object | string | undefined {
  if (['/readyz', '/livez', '/healthz'].includes(path)) return 'ok'
  if (path === '/version') return versionInfo(gitVersion)
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] }
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups(served) }
  return resourceList(path, served)
}

function versionInfo(gitVersion: string): object {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? []
  return { major, minor, gitVersion }
}

function groups(served: readonly Resource[]): object[] {
  const names = [...new Set(served.map((resource) => resource.group))].filter((group) => group !== '')
  return names.map((name) => {
    const versions = [...new Set(served.filter(({ group }) => group === name).map(({ version }) => version))].map(
      (version) => ({ groupVersion: `${name}/${version}`, version }),
    )
    return { name, versions, preferredVersion: versions[0] }
  })
}

function resourceList(path: string, served: readonly Resource[]): object | undefined {
  const parts = /^\/(?:api|apis\/([^/]+))\/(v[^/]+)$/.exec(path)
  if (!parts) return undefined
  const [, group = '', version] = parts
  const here = served.filter((resource) => resource.group === group && resource.version === version)
  if (here.length === 0) return undefined
  const groupVersion = group ? `${group}/${version}` : version
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: here.flatMap(entries) }
}

function entries(resource: Resource): object[] {
  const { plural, kind } = resource
  const namespaced = !isClusterScoped(resource)
  const singularName = kind.toLowerCase()
  const subresource = (name: string, of: string) => ({
    name: `${plural}/${name}`,
    singularName: '',
    namespaced,
    kind: of,
    verbs: ['get', 'patch', 'update'],
  })
  return [
    { name: plural, singularName, namespaced, kind, verbs },
    subresource('status', kind),
    ...(isScalable(resource) ? [subresource('scale', 'Scale')] : []),
  ]
}
