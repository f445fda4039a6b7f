import { afterEach, describe, expect, it } from 'vitest'
import { type Kind, resources } from '../../../functions/lib/kubernetes/cluster.ts'
import {
  type Permission,
  readPermissions,
  readUnlockPermissions,
  resourceText,
} from '../../../infra/cluster/permissions.ts'
import { ClusterUnsuitable, preflight } from '../../../infra/cluster/preflight.ts'
import type { ApiServerOptions } from '../../../infra/local/kubernetes/api-server.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { kustomization, type StandInCluster, standInCluster, standInToken } from '../../fixtures/stand-in-cluster.ts'

let standIn: StandInCluster
let said: string[]

const authorizeAllBut =
  (withheld: (permission: Permission) => boolean): NonNullable<ApiServerOptions['authorize']> =>
  (_user, { verb, resource: { group, plural }, subresource, namespace }) =>
    [...readPermissions(), ...readUnlockPermissions()].some(
      (granted) =>
        !withheld(granted) &&
        granted.verb === verb.toLowerCase() &&
        granted.group === group &&
        granted.resource === plural &&
        granted.subresource === subresource &&
        (granted.namespace === undefined || granted.namespace === namespace),
    )

/** A cluster with everything, and exactly the permissions of both rbac.yaml. */
async function start(options: Partial<ApiServerOptions> = {}): Promise<void> {
  standIn = await standInCluster({ authorize: authorizeAllBut(() => false), ...options })
  standIn.store.register(resources.OCIRepository)
  said = []
}

const look = () => preflight({ client: standIn.client(), clock: standIn.clock, say: (line) => said.push(line) })

async function failure(): Promise<Error> {
  const error = await look().then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  return error
}

async function problems(): Promise<Record<string, string>> {
  const error = await failure()
  expect(error).toBeInstanceOf(ClusterUnsuitable)
  const found = (error as ClusterUnsuitable).problems
  for (const { message, next } of found) {
    expect(error.message).toContain(message)
    expect(next).not.toBe('')
  }
  return Object.fromEntries(found.map(({ name, message }) => [name, message]))
}

const remove = (...kinds: Kind[]) => {
  for (const kind of kinds) standIn.store.unregister(resources[kind])
}
const serveAs = (kind: Kind, version: string) => {
  remove(kind)
  standIn.store.register({ ...resources[kind], version })
}

afterEach(() => standIn.close())

describe('a cluster that can work', () => {
  it('is surveyed, with no more than the permissions of rbac.yaml, and nothing is said', async () => {
    await start()
    const survey = await look()
    expect(survey).toMatchObject({
      ...{ cluster: 'staging', server: standIn.server.url, kubernetes: 'v1.35.0-lockstep-stand-in' },
      user: { name: 'anonymous' },
      kinds: { Terraform: ['v1alpha2'], OCIRepository: ['v1'] },
      ...{ flux: undefined, tofuController: undefined },
    })
    const allowed = (permissions: Permission[]) => permissions.map((permission) => ({ permission, allowed: true }))
    expect(survey.permissions).toEqual(allowed(readPermissions()))
    expect(survey.unlockPermissions).toEqual(allowed(readUnlockPermissions()))
    expect(said).toEqual([])
  })

  const isOf = (permissions: Permission[], { verb, group, resource, subresource }: Permission) =>
    permissions.some(
      (one) => one.verb === verb && one.group === group && one.resource === resource && one.subresource === subresource,
    )

  it('may be without what unlocks need, and is told that none is unlocked', async () => {
    await start({ authorize: authorizeAllBut((granted) => isOf(readUnlockPermissions(), granted)) })
    await look()
    expect(said).toEqual([
      'warning: staging: Locks are judged, and none is unlocked: these credentials may not get, patch deployments.apps; patch deployments/scale.apps; patch terraforms/status.infra.contrib.fluxcd.io; delete pods; patch leases.coordination.k8s.io; create secrets. To have them unlocked, run kubectl apply -k infra/cluster/unlock, and come in as group lockstep-unlock too.',
    ])
  })

  it.each(readUnlockPermissions())(
    'or with a part of it only: without $verb $resource $subresource',
    async (withheld) => {
      await start({ authorize: authorizeAllBut((granted) => isOf([withheld], granted)) })
      await look()
      expect(said).toEqual([expect.stringContaining(`may not ${withheld.verb} ${resourceText(withheld)}. To have`)])
    },
  )

  it('may lack tofu-controller where nothing needs it, and is told what will not be put in order', async () => {
    await start()
    remove('Terraform')
    await look()
    expect(said).toEqual([
      'warning: staging: The CRD terraforms.infra.contrib.fluxcd.io (tofu-controller) is not installed: no Terraform object is put in order.',
    ])
  })
})

describe('what is missing is named', () => {
  it('Flux, with its CRDs', async () => {
    await start()
    remove('GitRepository', 'Kustomization', 'HelmRelease', 'HelmChart', 'OCIRepository')
    expect(await problems()).toEqual({
      FluxMissing: expect.stringContaining(
        'gitrepositories.source.toolkit.fluxcd.io, kustomizations.kustomize.toolkit.fluxcd.io, ocirepositories.source.toolkit.fluxcd.io, helmcharts.source.toolkit.fluxcd.io, helmreleases.helm.toolkit.fluxcd.io.',
      ),
    })
    expect(said).toEqual([])
  })

  it('tofu-controller, where an object depends on a Terraform, with the object', async () => {
    await start()
    const app = kustomization('app')
    app.metadata.annotations = { 'lockstep.dev/depends-on': 'Terraform/flux-system/vpc' }
    standIn.store.create(resources.Kustomization, app, 'tests')
    remove('Terraform')
    expect(await problems()).toEqual({
      TofuControllerMissing: expect.stringContaining(
        'terraforms.infra.contrib.fluxcd.io, and Kustomization/flux-system/app depends on Terraform/flux-system/vpc. Install tofu-controller 0.16',
      ),
    })
  })

  it.each(
    readPermissions().map((permission) => [`${permission.verb} ${resourceText(permission)}`, permission] as const),
  )('the permission to %s, and nobody else', async (text, withheld) => {
    const same = (permission: Permission) => JSON.stringify(permission) === JSON.stringify(withheld)
    await start({ authorize: authorizeAllBut(same) })
    expect(await problems()).toEqual({
      PermissionsMissing: `anonymous (groups: system:authenticated) may not ${text}. Have an admin run kubectl apply -k infra/cluster, and come in as a member of the groups lockstep and lockstep-locks (EKS: by an access entry).`,
    })
  })

  it('all at once', async () => {
    await start({ version: 'v1.29.4-eks-036c24b', authorize: authorizeAllBut(({ verb }) => verb === 'patch') })
    remove('Kustomization')
    serveAs('Terraform', 'v1alpha1')
    const found = await problems()
    expect(Object.keys(found).sort()).toEqual([
      ...['FluxMissing', 'KubernetesUnsupported', 'PermissionsMissing', 'TofuControllerUnsupported'],
    ])
    expect(found.PermissionsMissing).toContain('patch gitrepositories.source.toolkit.fluxcd.io; patch kustomizations')
  })
})

describe('what is too old is named', () => {
  it.each(['v1.30.14', 'v1.30.9-eks-036c24b', 'v0.99.0'])('Kubernetes %s', async (version) => {
    await start({ version })
    expect(await problems()).toEqual({ KubernetesUnsupported: expect.stringContaining(`${version}, and Lockstep`) })
  })

  it.each(['v1.31.0', 'v1.40.1+k3s1', 'v2.0.0', 'v0.0.0-master+$Format:%H$', 'unknown'])(
    'Kubernetes %s is not',
    async (version) => {
      await start({ version })
      await expect(look()).resolves.toMatchObject({ kubernetes: version })
    },
  )

  it.each([
    ['OCIRepository', 'v1beta2', 'FluxUnsupported'],
    ['HelmRelease', 'v2beta2', 'FluxUnsupported'],
    ['Terraform', 'v1alpha1', 'TofuControllerUnsupported'],
  ] as const)('a CRD that serves %s as %s only', async (kind, version, name) => {
    await start()
    serveAs(kind, version)
    const { version: wanted } = resources[kind]
    expect(await problems()).toEqual({
      [name]: expect.stringContaining(`${kind} is served as ${version}, not as ${wanted}.`),
    })
  })

  const labelled = (kind: string, name: string, labels: Record<string, string>, image = '') => ({
    ...{ apiVersion: kind === 'Deployment' ? 'apps/v1' : 'apiextensions.k8s.io/v1', kind },
    metadata: { name, namespace: kind === 'Deployment' ? 'flux-system' : '', labels },
    spec: { template: { spec: { containers: [{ name: 'manager', image }] } } },
  })
  const version = 'app.kubernetes.io/version'
  const partOfFlux = { 'app.kubernetes.io/part-of': 'flux' }
  const named = { 'app.kubernetes.io/name': 'tofu-controller' }
  const crd = { kind: 'CustomResourceDefinition', group: 'apiextensions.k8s.io', version: 'v1' }
  const image = 'registry.example.com:443/flux-iac/tofu-controller:v0.15.1@sha256:0'

  it.each([
    ['Flux', labelled(crd.kind, 'kustomizations.kustomize.toolkit.fluxcd.io', { [version]: 'v2.5.1' })],
    ['Flux', labelled('Deployment', 'source-controller', { ...partOfFlux, [version]: 'v2.5.1' })],
    ['tofu-controller', labelled('Deployment', 'tofu-controller', { ...named, [version]: 'v0.15.1' })],
    ['tofu-controller', labelled('Deployment', 'tofu-controller', named, image)],
  ])('%s by the label or the image of %j', async (provider, object) => {
    await start({ authorize: () => true })
    const kind =
      object.kind === 'Deployment' ? builtinResources.Deployment : { ...crd, plural: `${crd.kind.toLowerCase()}s` }
    standIn.store.register(kind)
    standIn.store.create(kind, object, 'tests')
    const [message] = Object.values(await problems())
    expect(message).toMatch(new RegExp(`^Its ${provider} \\(v[0-9.]+\\) is not one that Lockstep supports\\.`))
  })

  it('unless nothing says how old it is', async () => {
    await start({ authorize: () => true })
    standIn.store.create(
      builtinResources.Deployment,
      labelled('Deployment', 'tofu-controller', named, 'tofu-controller:latest'),
      'tests',
    )
    await expect(look()).resolves.toMatchObject({ tofuController: undefined })
  })
})

describe('a cluster that does not let anybody in', () => {
  it('is named by its URL where nobody answers', async () => {
    await start()
    const { url } = standIn.server
    await standIn.server.close()
    expect(await failure()).toMatchObject({
      name: 'ClusterUnavailable',
      message: expect.stringMatching(`ECONNREFUSED .*${url}`),
    })
    await start()
  })

  it('is ClusterUnauthorized where it does not know the token, which is not told', async () => {
    await start({ authenticate: () => undefined })
    const error = await failure()
    expect(error).toMatchObject({ name: 'ClusterUnauthorized' })
    expect(error.message).toContain(standIn.server.url)
    expect(error.message).not.toContain(standInToken)
  })
})

it('does not let the cluster write to the terminal', async () => {
  const evil = '\u001b[2Jme\u009b1m\n'
  await start({ version: `v1.29${evil}`, authenticate: () => `eve${evil}`, authorize: () => false })
  const { message } = await failure()
  expect(message).toContain('eve [2Jme 1m ')
  // Letters, blanks and the line ends that are ours.
  expect(message).toMatch(/^[\x20-\x7e\n]+$/)
})

it('says what it waits for, where that takes longer than a second', async () => {
  await start()
  standIn.server.faults.inject({ kind: 'Deployment' }, { do: 'delay', ms: 3_000 })
  await look()
  expect(said).toEqual([`Waiting for cluster staging (${standIn.server.url}) to tell what it has …`])
})
