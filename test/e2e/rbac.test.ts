/**
 * infra/cluster and infra/cluster/unlock as they are shipped, on a real API server: Lockstep needs all of it, and may do
 * nothing else.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import * as z from 'zod'
import { systemClock } from '../../functions/lib/clock.ts'
import type { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import { reportOf } from '../../infra/cluster/check/report.ts'
import { inspect } from '../../infra/cluster/inspect.ts'
import {
  lockstepGroups,
  type Permission,
  readPermissions,
  readUnlockPermissions,
} from '../../infra/cluster/permissions.ts'
import { preflight } from '../../infra/cluster/preflight.ts'
import { kubeconfigClusters } from '../../infra/local/kubernetes/kubeconfig-clusters.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { applyCrds } from './cluster/crds.ts'
import { kinds } from './cluster/kinds.ts'
import { allPermissions, Grants, permissionText } from './rbac/grants.ts'
import { ObedientControllers } from './rbac/obedient-controllers.ts'
import { planInCluster } from './rbac/plan-in-cluster.ts'
import { RolloutSteps, StepFailed, type StepName } from './rbac/rollout-steps.ts'
import { applyTerraformCrd } from './rbac/terraform-crd.ts'

/** The step of a rollout, the look at its locks, or the unlock that fails without a permission: a new rule needs a line here. */
const neededBy: Record<string, StepName> = {
  'list gitrepositories.source.toolkit.fluxcd.io': 'plan',
  'watch gitrepositories.source.toolkit.fluxcd.io': 'fetch',
  'patch gitrepositories.source.toolkit.fluxcd.io': 'fetch',
  'list ocirepositories.source.toolkit.fluxcd.io': 'plan',
  'watch ocirepositories.source.toolkit.fluxcd.io': 'wait',
  'list helmcharts.source.toolkit.fluxcd.io': 'plan',
  'watch helmcharts.source.toolkit.fluxcd.io': 'wait',
  'get kustomizations.kustomize.toolkit.fluxcd.io': 'gate',
  'list kustomizations.kustomize.toolkit.fluxcd.io': 'plan',
  'watch kustomizations.kustomize.toolkit.fluxcd.io': 'wait',
  'patch kustomizations.kustomize.toolkit.fluxcd.io': 'gate',
  'get helmreleases.helm.toolkit.fluxcd.io': 'gate',
  'list helmreleases.helm.toolkit.fluxcd.io': 'plan',
  'watch helmreleases.helm.toolkit.fluxcd.io': 'wait',
  'patch helmreleases.helm.toolkit.fluxcd.io': 'gate',
  'get terraforms.infra.contrib.fluxcd.io': 'gate',
  'list terraforms.infra.contrib.fluxcd.io': 'plan',
  'watch terraforms.infra.contrib.fluxcd.io': 'wait',
  'patch terraforms.infra.contrib.fluxcd.io': 'gate',
  'get leases.coordination.k8s.io': 'look',
  'list leases.coordination.k8s.io': 'look',
  'get pods': 'look',
  'list pods': 'look',
  'get nodes': 'look',
  'list nodes': 'look',
  'list deployments.apps': 'look',
  'list horizontalpodautoscalers.autoscaling': 'look',
  'get secrets': 'look',
  'get configmaps': 'look',
  'get deployments.apps': 'unlock',
  'patch deployments.apps': 'unlock',
  'patch deployments/scale.apps': 'unlock',
  'patch terraforms/status.infra.contrib.fluxcd.io': 'unlock',
  'delete pods': 'unlock',
  'patch leases.coordination.k8s.io': 'unlock',
  'create secrets': 'unlock',
}

let cluster: RunningCluster
let grants: Grants
/** As Lockstep, by the kubeconfig that `npm start -- --kubeconfig` would be given. */
let client: KubernetesClient

const connect = (file: string) => kubeconfigClusters({ clock: systemClock, file }).connect('staging')

beforeAll(async () => {
  cluster = await startCluster({ upstream: inject('upstream'), flux: false })
  grants = new Grants(cluster)
  client = await connect(cluster.kubeconfigs.lockstep)
})

afterAll(() => cluster?.stop())

/** What the cluster lacks, by the name of the error. */
async function lacks(who = client): Promise<Record<string, string>> {
  const said: string[] = []
  try {
    await preflight({ client: who, clock: systemClock, say: (line) => said.push(line) })
    return said.length === 0 ? {} : { said: said.join('\n') }
  } catch (error) {
    const { problems = [error] } = error as { problems?: Error[] }
    return Object.fromEntries(problems.map((problem) => [(problem as Error).name, (problem as Error).message]))
  }
}

describe('a cluster that is being set up is told what it lacks, step by step', () => {
  test('all of it', async () => {
    const problems = await lacks()
    expect(Object.keys(problems)).toEqual(['FluxMissing', 'PermissionsMissing'])
    expect(problems.FluxMissing).toContain('kustomizations.kustomize.toolkit.fluxcd.io')
    expect(problems.PermissionsMissing).toMatch(
      /^lockstep \(groups: lockstep, lockstep-locks, lockstep-unlock, system:authenticated\) may not .*patch gitrepositories\.source/,
    )
  })

  test('an admin with all rights still lacks Flux', async () => {
    expect(Object.keys(await lacks(await connect(cluster.kubeconfigs.admin)))).toEqual(['FluxMissing'])
  })

  test('permissions, once Flux is there', async () => {
    await applyCrds(cluster.api, inject('upstream').crds)
    expect(Object.keys(await lacks())).toEqual(['PermissionsMissing'])
  })

  test('nothing that matters, once infra/cluster is applied: tofu-controller is not needed yet', async () => {
    await grants.grantNoUnlock()
    // For about a second after a CRD is installed its objects cannot be listed.
    await vi.waitFor(
      async () => {
        expect(await lacks()).toEqual({
          said: expect.stringMatching(/no Terraform object is put in order.*\n.*none is unlocked/),
        })
      },
      { timeout: 240_000, interval: 200 },
    )
  })

  test('what unlocks need, once tofu-controller is there', async () => {
    await applyTerraformCrd(cluster.api, inject('tofuController'))
    const said = await lacks()
    expect(said).toEqual({ said: expect.stringContaining('none is unlocked') })
    for (const { verb, resource } of readUnlockPermissions())
      expect(said.said).toMatch(new RegExp(`${verb}.* ${resource}`))
  })

  test('nothing at all, once infra/cluster/unlock is applied', async () => {
    await grants.grantAll()
    expect(await lacks()).toEqual({})
  })
})

describe('npm run check:cluster -- --groups, as an admin who may do everything, tells what the groups may', () => {
  const check = async (file: string) => {
    const who = await connect(file)
    const { survey, verdict } = await inspect({
      ...{ client: who, clock: systemClock, say: () => {}, groups: lockstepGroups },
    })
    return reportOf(survey, verdict, false).permissions
  }

  test('all but unlocks, where infra/cluster alone is applied', async () => {
    await grants.grantNoUnlock()
    const permissions = await check(cluster.kubeconfigs.admin)
    expect(permissions['observe and order']).toMatchObject({ granted: true, count: readPermissions().length })
    expect(permissions.unlock).toMatchObject({ granted: false, count: 0 })
  })

  test('everything, where both are', async () => {
    await grants.grantAll()
    expect((await check(cluster.kubeconfigs.admin)).unlock).toMatchObject({ granted: true, missing: '' })
  })

  test('and tells nobody else', async () => {
    await expect(check(cluster.kubeconfigs.lockstep)).rejects.toMatchObject({ name: 'MayNotAskForGroups' })
  })
})

describe('a kubeconfig that does not get in is told why', () => {
  async function changed(what: string, change: (text: string) => string): Promise<Record<string, string>> {
    const file = join(cluster.directory, `${what}.kubeconfig`)
    await writeFile(file, change(await readFile(cluster.kubeconfigs.lockstep, 'utf8')))
    return lacks(await connect(file))
  }

  test('a token that the cluster does not know', async () => {
    const problems = await changed('token', (text) => text.replace(/token: .*/, 'token: not-a-token-of-it'))
    expect(problems).toEqual({ ClusterUnauthorized: expect.stringContaining(`with 401 by ${cluster.api.server}`) })
    expect(problems.ClusterUnauthorized).not.toContain('not-a-token-of-it')
  })

  test('a certificate that is not trusted', async () => {
    expect(await changed('ca', (text) => text.replace(/ *certificate-authority-data: .*\n/, ''))).toEqual({
      ClusterUnavailable: expect.stringMatching(/CERT.*certificate is not one that is trusted/),
    })
  })

  test('a server that is no API server', async () => {
    const { host } = new URL(await cluster.git.createRepository('somewhere/else'))
    const elsewhere = (text: string) =>
      text
        .replace(/server: .*/, `server: http://${host}`)
        .replace(/certificate-authority-data: .*/, 'insecure-skip-tls-verify: true')
    expect(await changed('elsewhere', elsewhere)).toEqual({ NotAnApiServer: expect.stringContaining(host) })
  })
})

describe('a rollout, a look at the locks, and an unlock', () => {
  let controllers: ObedientControllers
  let steps: RolloutSteps | undefined

  beforeAll(() => {
    controllers = new ObedientControllers(cluster.api)
  })
  afterAll(() => controllers.end())
  afterEach(async () => {
    await steps?.end()
    steps = undefined
  })

  async function start(): Promise<RolloutSteps> {
    const started = await RolloutSteps.start({ cluster: client, api: cluster.api, controllers })
    steps = started
    return started
  }

  test('need no more than what both bases grant, and leave nothing behind', async () => {
    await grants.grantAll()
    const rollout = await start()
    await rollout.run()
    expect(await rollout.leftovers()).toEqual([])
  })

  for (const permission of allPermissions()) {
    const text = permissionText(permission)
    const step = neededBy[text]
    const title = step ? `is refused at its step ${step}` : 'is not known to fail: name its step, or remove the rule'
    test(`without "${text}" ${title}`, async () => {
      await grants.grantAllBut(permission)
      const failure = await (await start()).run().then(
        () => undefined,
        (error: StepFailed) => error,
      )
      if (!failure) throw new Error(`Nothing needs "${text}": remove it from infra/cluster`)
      expect(failure).toBeInstanceOf(StepFailed)
      expect({ step: failure.step, error: failure.cause.name }).toEqual({ step, error: 'ClusterForbidden' })
      expect(failure.cause.message).toContain(
        `User "lockstep" cannot ${permission.verb} resource "${pathOf(permission)}" in API group "${permission.group}"`,
      )
      expect(failure.cause.message).toContain('apply infra/cluster')
      expect(JSON.stringify(failure.cause) + failure.cause.stack).not.toContain(await token())
    })
  }

  test('has a step for each permission, and no other', () => {
    expect(Object.keys(neededBy).sort()).toEqual(allPermissions().map(permissionText).sort())
  })
})

describe('a plan that people approve', () => {
  const namespace = 'plans'
  const approve = () => planInCluster({ cluster: client, api: cluster.api, namespace })
  beforeAll(() => cluster.api.create({ ...kinds.Namespace, metadata: { name: namespace } }))

  test('is read, approved and applied with infra/cluster alone: nobody has to be able to unlock for it', async () => {
    await grants.grantNoUnlock()
    const { shown, carriedOut, approvePlan } = await approve()
    for (const each of shown)
      expect(each).toMatchObject({ counts: { add: 1, destroy: 1 }, changes: [{ action: 'replace' }] })
    expect(carriedOut).toEqual({ approved: 1, refused: 0 })
    expect(approvePlan).toEqual(['plan-main-c1139c7fe7', ''])
  })

  test.each(['get secrets', 'get configmaps', 'get terraforms', 'patch terraforms'])('needs to %s', async (needed) => {
    const withheld = allPermissions().find(({ verb, resource }) => `${verb} ${resource}` === needed)
    if (!withheld) throw new Error(`infra/cluster does not grant "${needed}"`)
    await grants.grantAllBut(withheld)
    await expect(approve()).rejects.toMatchObject({ name: 'ClusterForbidden' })
  })
})

const pathOf = ({ resource, subresource }: Permission) => [resource, ...(subresource ? [subresource] : [])].join('/')

async function token(): Promise<string> {
  return /token: (\S+)/.exec(await readFile(cluster.kubeconfigs.lockstep, 'utf8'))?.[1] ?? ''
}

describe('everything else is forbidden', () => {
  /** What every authenticated user may do (system:basic-user): ask about themselves. */
  const everybody = [
    'create selfsubjectreviews.authentication.k8s.io',
    'create selfsubjectaccessreviews.authorization.k8s.io',
    'create selfsubjectrulesreviews.authorization.k8s.io',
  ]

  const grantings: Readonly<Record<string, { grant: () => Promise<void>; permissions: () => Permission[] }>> = {
    'infra/cluster': { grant: () => grants.grantNoUnlock(), permissions: readPermissions },
    'infra/cluster and infra/cluster/unlock': { grant: () => grants.grantAll(), permissions: allPermissions },
  }
  test.each(Object.entries(grantings))(
    'of all verbs on all resources that the API server has, those of %s are allowed',
    async (_, { grant, permissions }) => {
      await grant()
      const all = await everyPermission()
      expect(all.length).toBeGreaterThan(500)
      const allowed = (await grants.allowedOf(all)).map(permissionText)
      expect(allowed.sort()).toEqual([...permissions().map(permissionText), ...everybody].sort())
    },
  )

  const flux = '/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations'
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const core = '/api/v1/namespaces/flux-system'
  const deployment = '/apis/apps/v1/namespaces/flux-system/deployments/kustomize-controller'
  async function expectForbidden(method: string, path: string): Promise<void> {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    const body = method === 'GET' || method === 'DELETE' ? {} : { body: {} }
    const { status } = await cluster.lockstep.request(method, path, { contentType, ...body })
    expect(status).toBe(403)
  }

  describe('where infra/cluster/unlock is not applied', () => {
    beforeAll(() => grants.grantNoUnlock())
    test.each([
      ['deleting a pod', 'DELETE', `${core}/pods/runner`],
      ['scaling a controller', 'PATCH', `${deployment}/scale`],
      ['patching a controller', 'PATCH', deployment],
      ['taking a Lease', 'PATCH', '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases/lock-tfstate'],
      ['making a Secret', 'POST', `${core}/secrets`],
    ])('%s', (_what, method, path) => expectForbidden(method, path))
  })

  describe('where both are', () => {
    beforeAll(() => grants.grantAll())
    test.each([
      ['reading Secrets', 'GET', `${core}/secrets`],
      ['reading Secrets of all namespaces', 'GET', '/api/v1/secrets'],
      ['watching Secrets', 'GET', '/api/v1/secrets?watch=true'],
      ['changing a Secret', 'PATCH', `${core}/secrets/tfstate-default-vpc`],
      ['deleting a Secret', 'DELETE', `${core}/secrets/tfstate-default-vpc`],
      ['listing ConfigMaps', 'GET', '/api/v1/namespaces/kube-system/configmaps'],
      ['watching pods', 'GET', `${core}/pods?watch=true`],
      ["reading a pod's log", 'GET', `${core}/pods/runner/log`],
      ['deleting all pods', 'DELETE', `${core}/pods`],
      ['running a command in a pod', 'POST', `${core}/pods/runner/exec?command=sh`],
      ['making a token of a service account', 'POST', `${core}/serviceaccounts/kustomize-controller/token`],
      ['deleting a controller', 'DELETE', deployment],
      ['making a controller', 'POST', '/apis/apps/v1/namespaces/flux-system/deployments'],
      ["changing a controller's status", 'PATCH', `${deployment}/status`],
      ['listing namespaces', 'GET', '/api/v1/namespaces'],
      ['deleting a node', 'DELETE', '/api/v1/nodes/node-1'],
      ['cordoning a node', 'PATCH', '/api/v1/nodes/node-1'],
      ['replacing a Lease', 'PUT', '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases/lock-tfstate'],
      ['deleting a Lease', 'DELETE', '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases/lock-tfstate'],
      ['creating a Kustomization', 'POST', flux],
      ['replacing a Kustomization', 'PUT', `${flux}/apps`],
      ['deleting a Kustomization', 'DELETE', `${flux}/apps`],
      ['deleting all Kustomizations', 'DELETE', flux],
      ["patching a Kustomization's status", 'PATCH', `${flux}/apps/status`],
      ['deleting a source', 'DELETE', '/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/fleet'],
      ['reading CRDs', 'GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'],
      ['giving itself a role', 'POST', `${rbac}/clusterrolebindings`],
      ['giving itself a role in a namespace', 'POST', `${rbac}/namespaces/flux-system/rolebindings`],
      ['widening its own role', 'PATCH', `${rbac}/clusterroles/lockstep`],
      ['asking what others may do', 'POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
      ['asking whom a token belongs to', 'POST', '/apis/authentication.k8s.io/v1/tokenreviews'],
      ['asking for a certificate', 'POST', '/apis/certificates.k8s.io/v1/certificatesigningrequests'],
      ['reading metrics', 'GET', '/metrics'],
    ])('%s', (_what, method, path) => expectForbidden(method, path))
  })

  test('being somebody else', async () => {
    const file = join(cluster.directory, 'impersonating.kubeconfig')
    const text = await readFile(cluster.kubeconfigs.lockstep, 'utf8')
    await writeFile(file, text.replace(/^( +)token:/m, '$1as: admin\n$1token:'))
    const error = await (await connect(file)).list('Kustomization').catch((reason: Error) => reason)
    // Not even whether it is ready is told to who must not be whom he says.
    expect(error).toMatchObject({ status: 403, message: expect.stringContaining('cannot impersonate') })
  })
})

const groupsSchema = z.object({
  groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }), name: z.string() })),
})
const resourcesSchema = z.object({ resources: z.array(z.object({ name: z.string() })) })

/** Verbs that are no requests of their own, but decide over others. */
const specialVerbs: readonly Permission[] = [
  ...['users', 'groups', 'serviceaccounts'].map((resource) => ({ verb: 'impersonate', group: '', resource })),
  ...['bind', 'escalate'].flatMap((verb) =>
    ['roles', 'clusterroles'].map((resource) => ({ verb, group: 'rbac.authorization.k8s.io', resource })),
  ),
  ...['approve', 'sign'].map((verb) => ({ verb, group: 'certificates.k8s.io', resource: 'signers' })),
]

/** Every verb on every resource and subresource that the API server has. */
async function everyPermission(): Promise<Permission[]> {
  const get = async (path: string) => (await cluster.api.request('GET', path)).body
  const { groups } = groupsSchema.parse(await get('/apis'))
  const served = [
    { group: '', path: '/api/v1' },
    ...groups.map(({ name, preferredVersion }) => ({ group: name, path: `/apis/${preferredVersion.groupVersion}` })),
  ]
  const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']
  const permissions: Permission[] = [...specialVerbs]
  for (const { group, path } of served) {
    for (const { name } of resourcesSchema.parse(await get(path)).resources) {
      const [resource = '', subresource] = name.split('/')
      const at = { group, resource, ...(subresource !== undefined && { subresource }) }
      permissions.push(...verbs.map((verb) => ({ verb, ...at })))
    }
  }
  return permissions
}
