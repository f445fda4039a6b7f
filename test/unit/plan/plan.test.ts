import { describe, expect, test } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Snapshot } from '../../../functions/lib/rollout/snapshot.ts'
import { makePlan, OrderInvalid, planAgain, SourceNotFound } from '../../../functions/plan/plan.ts'
import {
  gitRepository,
  helmRelease,
  inLayer,
  kustomization,
  ownedBy,
  type Shape,
  terraform,
} from '../../fixtures/raw-objects.ts'
import { begunRollout, snapshotOf } from '../../fixtures/snapshot-of.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  layers: ['network', 'database', 'addons', 'apps'],
  clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'staging' }],
})

function planned(snapshot: Snapshot, options: { ordering?: 'strict' | 'advisory'; idle?: string[] } = {}) {
  const rollout = begunRollout()
  const { ordering = 'strict', idle = [] } = options
  makePlan(rollout, { snapshot, fleet, ordering, idleBranches: new Set(idle) })
  return rollout
}

const layersOf = (rollout: ReturnType<typeof planned>) =>
  Object.fromEntries(rollout.objects.map(({ key, layer }) => [key.split('/').at(-1), layer]))

const dependsOn = (...names: string[]): Shape => ({ spec: { dependsOn: names.map((name) => ({ name })) } })
const annotated = (keys: string): Shape => ({ annotations: { 'lockstep.dev/depends-on': keys } })

describe('the order', () => {
  test('follows dependsOn within a kind', () => {
    const rollout = planned(
      snapshotOf(
        gitRepository(),
        terraform('db', dependsOn('vpc')),
        terraform('vpc'),
        terraform('cache', dependsOn('db')),
      ),
    )
    expect(layersOf(rollout)).toEqual({ vpc: 0, db: 1, cache: 2 })
  })

  test('follows the annotation across kinds', () => {
    const rollout = planned(
      snapshotOf(gitRepository(), kustomization('app', annotated('Terraform/flux-system/vpc')), terraform('vpc')),
    )
    expect(layersOf(rollout)).toEqual({ vpc: 0, app: 1 })
  })

  test('follows the fleet’s layers, and names layers after them', () => {
    const rollout = planned(
      snapshotOf(
        gitRepository(),
        kustomization('app', { labels: inLayer('apps') }),
        terraform('db', { labels: inLayer('database') }),
        terraform('vpc', { labels: inLayer('network') }),
        terraform('subnets', { labels: inLayer('network'), ...dependsOn('vpc') }),
      ),
    )
    expect(layersOf(rollout)).toEqual({ vpc: 0, subnets: 1, db: 2, app: 3 })
    expect(rollout.layers.map(({ name }) => name)).toEqual(['network', 'network 2', 'database', 'apps'])
  })

  test('puts a Kustomization before what it applies', () => {
    const rollout = planned(
      snapshotOf(gitRepository(), kustomization('root'), terraform('vpc', { labels: ownedBy('root') })),
    )
    expect(layersOf(rollout)).toEqual({ root: 0, vpc: 1 })
  })

  test('lets a Kustomization share a layer with what it waits for, and be ready after it', () => {
    const rollout = planned(
      snapshotOf(
        gitRepository(),
        kustomization('infra', { spec: { wait: true } }),
        terraform('vpc', { labels: ownedBy('infra') }),
        terraform('db', { labels: ownedBy('infra'), ...dependsOn('vpc') }),
        kustomization('app', dependsOn('infra')),
      ),
    )
    expect(layersOf(rollout)).toEqual({ infra: 0, vpc: 0, db: 1, app: 2 })
  })
})

describe('what takes part', () => {
  test('is what the pushed source feeds, and what a fed Kustomization applies', () => {
    const elsewhere = { spec: { sourceRef: { kind: 'GitRepository', name: 'other' } } }
    const rollout = planned(
      snapshotOf(
        gitRepository(),
        gitRepository('other', { spec: { url: 'https://github.com/my-org/other' } }),
        kustomization('root'),
        helmRelease('ingress', { labels: ownedBy('root') }),
        kustomization('unrelated', elsewhere),
        helmRelease('unrelated'),
      ),
    )
    expect(Object.fromEntries(rollout.objects.map(({ key, follows }) => [key, follows]))).toEqual({
      'Kustomization/flux-system/root': 'revision',
      'HelmRelease/flux-system/ingress': 'generation',
    })
  })

  test.each([
    'https://github.com/my-org/fleet-infra.git',
    'ssh://git@github.com/My-Org/fleet-infra',
    'git@github.com:my-org/fleet-infra.git',
  ])('finds the source by %s', (url) => {
    const rollout = planned(snapshotOf(gitRepository('flux-system', { spec: { url } })))
    expect(rollout.sources.map(({ key }) => key)).toEqual(['GitRepository/flux-system/flux-system'])
  })

  test('judges an unaffected object between two affected ones, without holding it', () => {
    const other = { kind: 'GitRepository', name: 'other' }
    const rollout = planned(
      snapshotOf(
        gitRepository(),
        terraform('first'),
        terraform('between', { spec: { sourceRef: other, dependsOn: [{ name: 'first' }] } }),
        terraform('last', dependsOn('between')),
      ),
    )
    expect(layersOf(rollout)).toEqual({ first: 0, between: 1, last: 2 })
    expect(rollout.objects.find(({ key }) => key.endsWith('between'))?.notHeld).toBe('judged')
  })

  test('a cluster without the source is told so', () => {
    const tag = gitRepository('fleet-infra', { spec: { ref: { tag: 'v1' } } })
    expect(() => planned(snapshotOf(tag, kustomization('app')))).toThrow(SourceNotFound)
  })
})

describe('what cannot be put in order is named', () => {
  test('a missing dependency', () => {
    const broken = () => planned(snapshotOf(gitRepository(), terraform('db', dependsOn('vpc'))))
    expect(broken).toThrow(OrderInvalid)
    expect(broken).toThrow(
      'Terraform/flux-system/db depends on Terraform/flux-system/vpc (dependsOn), which does not exist.',
    )
  })

  test('an unknown layer', () => {
    const broken = () => planned(snapshotOf(gitRepository(), terraform('db', { labels: inLayer('databse') })))
    expect(broken).toThrow(/Terraform\/flux-system\/db .* databse, which is not a layer of the fleet/)
  })

  test('a malformed annotation', () => {
    const broken = () => planned(snapshotOf(gitRepository(), terraform('db', annotated('vpc'))))
    expect(broken).toThrow(/Terraform\/flux-system\/db has "vpc"/)
  })

  test('a cycle across kinds, with its path', () => {
    const broken = () =>
      planned(
        snapshotOf(
          gitRepository(),
          terraform('vpc', annotated('Kustomization/flux-system/app')),
          kustomization('app', annotated('Terraform/flux-system/vpc')),
        ),
      )
    expect(broken).toThrow('Terraform/flux-system/vpc -> Kustomization/flux-system/app -> Terraform/flux-system/vpc')
  })

  test('a cycle between layers and a dependency', () => {
    const broken = () =>
      planned(
        snapshotOf(
          gitRepository(),
          terraform('vpc', { labels: inLayer('network'), ...annotated('Kustomization/flux-system/app') }),
          kustomization('app', { labels: inLayer('apps') }),
        ),
      )
    expect(broken).toThrow(/layer network.*Kustomization\/flux-system\/app/)
  })

  test('an object that depends on the Kustomization that waits for it', () => {
    const broken = () =>
      planned(
        snapshotOf(
          gitRepository(),
          kustomization('infra', { spec: { wait: true } }),
          kustomization('inner', { labels: ownedBy('infra'), ...dependsOn('infra') }),
        ),
      )
    expect(broken).toThrow(/cycle/)
  })
})

describe('what is held', () => {
  const notHeld = (rollout: ReturnType<typeof planned>, name: string) =>
    rollout.objects.find(({ key }) => key.endsWith(`/${name}`))

  test('everything but the first layer', () => {
    const rollout = planned(snapshotOf(gitRepository(), terraform('vpc'), terraform('db', dependsOn('vpc'))))
    expect(notHeld(rollout, 'vpc')?.notHeld).toBe('first')
    expect(notHeld(rollout, 'db')?.notHeld).toBeUndefined()
  })

  test('nothing where the ordering is advisory', () => {
    const snapshot = snapshotOf(gitRepository(), terraform('vpc'), terraform('db', dependsOn('vpc')))
    expect(notHeld(planned(snapshot, { ordering: 'advisory' }), 'db')?.notHeld).toBe('advisory')
  })

  test('what a guarded unlock holds, as if it were not suspended', () => {
    const held = { spec: { suspend: true, dependsOn: [{ name: 'vpc' }] } }
    const snapshot = snapshotOf(gitRepository(), terraform('vpc'), terraform('db', held))
    const rollout = begunRollout()
    const heldByUnlock = new Set(['Terraform/flux-system/db'])
    makePlan(rollout, { snapshot, fleet, ordering: 'strict', idleBranches: new Set(), heldByUnlock })
    expect(notHeld(rollout, 'db')?.notHeld).toBeUndefined()
    expect(rollout.notes).toEqual([])
  })

  test('not what a person has suspended, and it is named', () => {
    const rollout = planned(snapshotOf(gitRepository(), terraform('vpc', { spec: { suspend: true } })))
    expect(notHeld(rollout, 'vpc')).toMatchObject({ notHeld: 'person', gated: false })
    expect(rollout.notes.join()).toContain('Terraform/flux-system/vpc was suspended by a person')
  })

  test('not what Git decides, and it is named', () => {
    const managedFields = [{ manager: 'kustomize-controller', fieldsV1: { 'f:spec': { 'f:suspend': {} } } }]
    const rollout = planned(
      snapshotOf(gitRepository(), terraform('vpc'), terraform('db', { ...dependsOn('vpc'), managedFields })),
    )
    expect(notHeld(rollout, 'db')?.notHeld).toBe('git')
    expect(rollout.notes.join()).toContain('Terraform/flux-system/db has spec.suspend in its manifest')
  })

  const gatedBy = (mark: string): Shape => ({
    spec: { suspend: true, dependsOn: [{ name: 'vpc' }] },
    annotations: { 'lockstep.dev/gate': mark },
  })

  test('gates of an older rollout of the branch, and of branches that nobody works on, are taken over', () => {
    const idle = 'github.com/my-org/other#main'
    for (const branch of ['github.com/my-org/fleet-infra#main', idle]) {
      const snapshot = snapshotOf(gitRepository(), terraform('vpc'), terraform('db', gatedBy(`older ${branch}`)))
      expect(notHeld(planned(snapshot, { idle: [idle] }), 'db')).toMatchObject({ gated: true })
    }
  })

  test('gates of a branch that another rollout works on, or that another installation knows, stay theirs', () => {
    const other = 'github.com/my-org/other#main'
    const snapshot = snapshotOf(gitRepository(), terraform('vpc'), terraform('db', gatedBy(`x ${other}`)))
    expect(notHeld(planned(snapshot), 'db')).toMatchObject({ gated: false, notHeld: 'other' })
    const elsewhere = { ...gatedBy(`x ${other}`), spec: { suspend: true, sourceRef: { kind: 'Bucket', name: 'b' } } }
    expect(planned(snapshotOf(gitRepository(), terraform('old', elsewhere))).objects).toEqual([])
  })

  test('a gate that was left behind on an object that the push does not change is opened first', () => {
    const left = terraform('old', {
      spec: { suspend: true, sourceRef: { kind: 'Bucket', name: 'b' } },
      annotations: { 'lockstep.dev/gate': 'dead github.com/my-org/fleet-infra#main' },
    })
    const rollout = planned(snapshotOf(gitRepository(), left))
    expect(notHeld(rollout, 'old')).toMatchObject({ gated: true, layer: 0 })
  })
})

describe('planning again', () => {
  const again = (rollout: ReturnType<typeof planned>, snapshot: Snapshot) =>
    planAgain(rollout, { snapshot, fleet, ordering: 'strict', idleBranches: new Set() })

  test('puts newborn objects behind what was opened and before what depends on them, and names them', () => {
    const root = kustomization('root')
    const app = kustomization('app', { labels: ownedBy('root') })
    const rollout = planned(snapshotOf(gitRepository(), root, app))
    for (const object of rollout.objects) if (object.key.endsWith('root')) object.phase = 'ready'

    const born = terraform('vpc', { labels: ownedBy('root') })
    const dependent = kustomization('app', { labels: ownedBy('root'), ...annotated('Terraform/flux-system/vpc') })
    again(rollout, snapshotOf(gitRepository(), root, dependent, born))

    expect(layersOf(rollout)).toEqual({ root: 0, vpc: 1, app: 2 })
    expect(rollout.objects.find(({ key }) => key.endsWith('vpc'))?.notHeld).toBe('born')
    expect(rollout.notes.join()).toContain('Terraform/flux-system/vpc was created during the rollout')
  })

  test('a mistake that the push brought fails the object and keeps the rest going', () => {
    const root = kustomization('root')
    const rollout = planned(snapshotOf(gitRepository(), root, terraform('db', { labels: ownedBy('root') })))
    for (const object of rollout.objects) if (object.key.endsWith('root')) object.phase = 'ready'
    const broken = terraform('db', { labels: ownedBy('root'), ...dependsOn('nowhere') })
    again(rollout, snapshotOf(gitRepository(), root, broken, terraform('ok', { labels: ownedBy('root') })))
    expect(rollout.objects.find(({ key }) => key.endsWith('db'))).toMatchObject({
      phase: 'failed',
      reason: 'OrderInvalid',
    })
    expect(rollout.objects.find(({ key }) => key.endsWith('ok'))?.phase).toBe('pending')
  })

  test('an object that was deleted leaves the plan, and is named', () => {
    const root = kustomization('root')
    const rollout = planned(snapshotOf(gitRepository(), root, terraform('db', { labels: ownedBy('root') })))
    again(rollout, snapshotOf(gitRepository(), root))
    expect(rollout.objects.map(({ key }) => key)).toEqual(['Kustomization/flux-system/root'])
    expect(rollout.notes.join()).toContain('Terraform/flux-system/db was deleted')
  })
})
