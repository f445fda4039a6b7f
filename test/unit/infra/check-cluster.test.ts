import { afterEach, describe, expect, it } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { type Options, parseOptions } from '../../../infra/cluster/check/options.ts'
import { type CheckReport, reportOf } from '../../../infra/cluster/check/report.ts'
import { reportLines } from '../../../infra/cluster/check/report-text.ts'
import { inspect } from '../../../infra/cluster/inspect.ts'
import { lockstepGroups, readPermissions, readUnlockPermissions } from '../../../infra/cluster/permissions.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import type { Authorize } from '../../../infra/local/kubernetes/review.ts'
import { type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

let standIn: StandInCluster
afterEach(() => standIn?.close())

/** What RBAC would say with both bases applied: an admin may do everything, members of the groups what their base grants. */
const rbac =
  ({ unlock = true, mayAsk = true } = {}): Authorize =>
  (user, { verb, resource: { group, plural }, subresource }, groups) => {
    if (groups === undefined) return user === 'anonymous' && (mayAsk || plural !== 'subjectaccessreviews')
    const granted = [
      ...(groups.includes('lockstep') && groups.includes('lockstep-locks') ? readPermissions() : []),
      ...(groups.includes('lockstep-unlock') && unlock ? readUnlockPermissions() : []),
    ]
    return granted.some(
      (one) =>
        one.verb === verb.toLowerCase() &&
        one.group === group &&
        one.resource === plural &&
        one.subresource === subresource,
    )
  }

const controller = (name: string, image: string, labels: Record<string, string>, ready = 1) => ({
  ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace: 'flux-system', labels } },
  spec: { replicas: 1, template: { spec: { containers: [{ name: 'manager', image }] } } },
  status: ready > 0 ? { readyReplicas: ready } : {},
})
const version = 'app.kubernetes.io/version'
const ofFlux = { 'app.kubernetes.io/part-of': 'flux', [version]: 'v2.7.0' }
const ofTofu = { 'app.kubernetes.io/name': 'tofu-controller', [version]: 'v0.16.5' }

async function start(authorize: Authorize = rbac(), deployments: ReturnType<typeof controller>[] = []): Promise<void> {
  standIn = await standInCluster({ authorize })
  const { store } = standIn
  store.register(resources.OCIRepository)
  for (const { status, ...deployment } of deployments) {
    const { namespace, name } = deployment.metadata
    const options = { manager: 'tests', subresource: 'status' } as const
    store.create(builtinResources.Deployment, deployment, 'tests')
    store.update(builtinResources.Deployment, namespace, name, (stored) => Object.assign(stored, { status }), options)
  }
}

const running = [
  controller('source-controller', 'ghcr.io/fluxcd/source-controller:v1.7.0', ofFlux),
  controller('tofu-controller', 'ghcr.io/flux-iac/tofu-controller:v0.16.5@sha256:0', ofTofu),
]

async function check({ groups = false, unlock = false } = {}): Promise<CheckReport> {
  const asked = groups ? { groups: lockstepGroups } : {}
  const { survey, verdict } = await inspect({
    ...{ client: standIn.client(), clock: standIn.clock, say: () => {} },
    ...asked,
  })
  return reportOf(survey, verdict, unlock)
}

const pipe = { width: Number.POSITIVE_INFINITY, color: false }

describe('a cluster that has everything', () => {
  it('is said to, with versions, CRDs, controllers and permissions', async () => {
    await start(rbac(), running)
    const report = await check({ groups: true, unlock: true })
    expect(report).toMatchObject({ ok: true, problems: [], warnings: [], permissionsOf: 'groups' })
    expect(reportLines(report, pipe).join('\n')).toBe(`staging (${standIn.server.url}), asked as anonymous

Versions
  ok  Kubernetes       v1.35.0-lockstep-stand-in  needs 1.31 or later
  ok  Flux             v2.7.0                     needs 2.6 or later
  ok  tofu-controller  v0.16.5                    needs 0.16 or later

CRDs
  ok  gitrepositories.source.toolkit.fluxcd.io    v1
  ok  kustomizations.kustomize.toolkit.fluxcd.io  v1
  ok  ocirepositories.source.toolkit.fluxcd.io    v1
  ok  helmcharts.source.toolkit.fluxcd.io         v1
  ok  helmreleases.helm.toolkit.fluxcd.io         v2
  ok  terraforms.infra.contrib.fluxcd.io          v1alpha2

Controllers
  ok  flux-system/source-controller  v1.7.0   1 of 1 ready
  ok  flux-system/tofu-controller    v0.16.5  1 of 1 ready

Permissions of the groups that Lockstep comes in as
  ok  observe and order  granted  ${readPermissions().length} of ${readPermissions().length}
  ok  unlock             granted  ${readUnlockPermissions().length} of ${readUnlockPermissions().length}

Everything that Lockstep needs is there.`)
  })

  it('fits a terminal: no line is longer, and no command is cut', async () => {
    await start(rbac({ unlock: false }), running)
    const lines = reportLines(await check({ groups: true }), { width: 60, color: false })
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(60)
    expect(lines.join(' ').replace(/\s+/g, ' ')).toContain('run kubectl apply -k infra/cluster/unlock.')
  })
})

describe('whose permissions', () => {
  it('an admin may do everything, and members of the groups nothing before infra/cluster is applied', async () => {
    await start((_user, _access, groups) => groups === undefined, running)
    expect((await check()).permissions).toMatchObject({
      unlock: { granted: true },
      'observe and order': { granted: true },
    })
    const report = await check({ groups: true })
    expect(report.permissions).toMatchObject({
      unlock: { count: 0 },
      'observe and order': { count: 0, granted: false },
    })
    expect(report.ok).toBe(false)
    expect(report.problems).toEqual([
      {
        name: 'PermissionsMissing',
        message: expect.stringMatching(
          /^Members of lockstep and lockstep-locks may not list, watch, patch gitrepositories\.source.*Have an admin run kubectl apply -k infra\/cluster\.$/,
        ),
      },
    ])
  })

  it('those of groups are not told to everybody', async () => {
    await start(rbac({ mayAsk: false }))
    await expect(check({ groups: true })).rejects.toMatchObject({
      name: 'MayNotAskForGroups',
      message: expect.stringContaining('without --groups'),
    })
  })

  it('to unlock are granted apart: without them nothing is unlocked, which is a failure only where it is asked for', async () => {
    await start(rbac({ unlock: false }), running)
    const left = await check({ groups: true })
    expect(left).toMatchObject({ ok: true, problems: [] })
    expect(left.permissions.unlock).toMatchObject({ granted: false, missing: expect.stringContaining('delete pods') })
    expect(left.warnings).toEqual([
      expect.stringMatching(/none is unlocked: members of lockstep-unlock may not .*infra\/cluster\/unlock\.$/),
    ])
    expect(reportLines(left, pipe).join('\n')).toContain(
      'missing  unlock             not granted: then no unlocks happen here',
    )
    const wanted = await check({ groups: true, unlock: true })
    expect(wanted).toMatchObject({ ok: false, warnings: [] })
    expect(wanted.problems).toEqual([{ name: 'UnlockPermissionsMissing', message: left.warnings[0] }])
  })
})

describe('controllers', () => {
  it('that are not ready are named, with how to look', async () => {
    await start(rbac(), [controller('source-controller', 'ghcr.io/fluxcd/source-controller:v1.7.0', ofFlux, 0)])
    expect((await check()).warnings).toEqual([
      expect.stringContaining('kubectl -n flux-system describe deployment source-controller'),
    ])
  })

  it('that may not be listed are unknown, and so are the versions that they would tell', async () => {
    await start((_user, { verb, resource }) => !(verb === 'LIST' && resource.plural === 'deployments'), running)
    const report = await check()
    expect(report.controllers).toBeNull()
    expect(report.versions.map(({ status }) => status)).toEqual(['ok', 'unknown', 'unknown'])
    expect(reportLines(report, pipe)).toContain('  unknown  these credentials may not list Deployments')
  })

  it('without labels are not known', async () => {
    await start()
    expect(reportLines(await check(), pipe).join('\n')).toContain('no Deployment has the labels of Flux')
  })
})

it('a CRD that is not there, or too old, is told with what is needed', async () => {
  await start(rbac(), running)
  for (const kind of ['Terraform', 'HelmRelease'] as const) standIn.store.unregister(resources[kind])
  standIn.store.register({ ...resources.HelmRelease, version: 'v2beta2' })
  const report = await check()
  expect(report.crds.filter(({ status }) => status !== 'ok')).toEqual([
    { name: 'helmreleases.helm.toolkit.fluxcd.io', served: ['v2beta2'], needs: 'v2', status: 'too old' },
    { name: 'terraforms.infra.contrib.fluxcd.io', served: [], needs: 'v1alpha2', status: 'missing' },
  ])
  expect(report.problems.map(({ name }) => name)).toEqual(['FluxUnsupported'])
  expect(reportLines(report, pipe).at(-1)).toBe('Lockstep cannot work with this cluster yet.')
})

describe('options', () => {
  const read = (args: string[], environment: NodeJS.ProcessEnv = {}): Options => parseOptions(args, environment)

  it('take the kubeconfig from where kubectl does', () => {
    expect(read([]).kubeconfig).toMatch(/\/\.kube\/config$/)
    expect(read([], { KUBECONFIG: '/a/b' }).kubeconfig).toBe('/a/b')
    expect(read(['--kubeconfig', 'c'], { KUBECONFIG: '/a:/b' }).kubeconfig).toBe('c')
    expect(() => read([], { KUBECONFIG: '/a:/b' })).toThrow('names several files')
  })

  it.each([
    [['-o', 'yaml'], '-o yaml is no output'],
    [['--contxt', 'a'], '--contxt'],
    [['staging'], 'staging'],
  ])('%j are a mistake that is named', (args, message) => {
    expect(() => read(args)).toThrow(message)
  })
})
