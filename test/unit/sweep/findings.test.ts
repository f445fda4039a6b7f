import { describe, expect, test } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { parseWorkload, type WorkloadKind } from '../../../functions/lib/flux/workload.ts'
import { oneLine } from '../../../functions/lib/locks/evidence/one-line.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import type { ScanReport } from '../../../functions/lib/locks/scan/scan-report.ts'
import { setByHand } from '../../../functions/lib/sweep/by-hand.ts'
import { driftOf } from '../../../functions/lib/sweep/drift.ts'
import { gatesLeft } from '../../../functions/lib/sweep/gates-left.ts'
import { stateFindings } from '../../../functions/lib/sweep/states.ts'
import { stuckObjects } from '../../../functions/lib/sweep/stuck.ts'
import type { Unready } from '../../../functions/lib/sweep/sweep-record.ts'
import { type SweptWorkload, sweepObjects } from '../../../functions/lib/sweep/swept-cluster.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { observationOf } from '../../fixtures/observations.ts'
import { gitRepository, helmRelease, inLayer, kustomization, ownedBy, terraform } from '../../fixtures/raw-objects.ts'

const minute = 60_000
const now = Date.parse('2026-03-02T10:00:00Z')
const ago = (ms: number) => `${new Date(now - ms).toISOString().slice(0, 19)}Z`

const swept = (raw: { kind: string }): SweptWorkload => ({
  raw,
  workload: parseWorkload(raw.kind as WorkloadKind, raw),
})
const condition = (type: string, status: string, reason = '', message = '', since = 0) => ({
  ...{ type, status, reason, message, lastTransitionTime: ago(since) },
})

describe('drift', () => {
  const of = (raw: { kind: string }) => driftOf(swept(raw), now)
  const detected = { lastDriftDetectedAt: ago(5 * minute) }

  test('is what a run found that may not correct it, also between two tries', () => {
    const found = { lastDriftDetectedAt: ago(5 * minute), conditions: [condition('Ready', 'False', 'DriftDetected')] }
    const [drift, ...others] = of(terraform('vpc', { status: found, spec: { approvePlan: '' } }))
    expect(others).toEqual([])
    expect(drift).toMatchObject({ kind: 'drift', object: 'Terraform/flux-system/vpc', since: now - 5 * minute })
    expect(drift?.text).toContain('approved by hand')
    const trying = { ...detected, conditions: [condition('Ready', 'Unknown', 'Progressing', 'Initializing')] }
    expect(of(terraform('vpc', { status: trying }))).toEqual([drift])
    const reporting = terraform('vpc', { status: found, spec: { approvePlan: 'disable' } })
    expect(of(reporting)[0]?.text).toContain('only reports drift')
  })

  test.each([
    ['that was never there', {}],
    ['that is not found any more', { ...detected, conditions: [condition('Ready', 'True', 'NoDrift')] }],
    [
      'of before the last success, in a run of another reason',
      {
        ...detected,
        lastSuccessfulReconcileAt: ago(minute),
        conditions: [condition('Ready', 'Unknown', 'Progressing')],
      },
    ],
    ['in times that are none', { lastDriftDetectedAt: 'soon', lastAppliedByDriftDetectionAt: 7 }],
  ])('%s is none', (_, status) => {
    expect(of(terraform('vpc', { status }))).toEqual([])
  })

  test('that was corrected is told for a day, each time anew', () => {
    const corrected = (ms: number) =>
      of(
        terraform('vpc', {
          status: { lastAppliedByDriftDetectionAt: ago(ms), conditions: [condition('Ready', 'True')] },
        }),
      )
    expect(corrected(minute)[0]?.text).toContain('put back to what Git says at 2026-03-02T09:59:00.000Z')
    expect(corrected(minute)[0]?.text).not.toBe(corrected(2 * minute)[0]?.text)
    expect(corrected(25 * 60 * minute)).toEqual([])
  })

  test('that another controller reports is one, too', () => {
    const status = { conditions: [condition('Ready', 'False', 'DriftDetected')] }
    expect(of(helmRelease('ingress', { status }))).toMatchObject([{ kind: 'drift' }])
  })
})

describe('detection of drift', () => {
  const of = (raw: { kind: string }) => driftOf(swept(raw), now).map(({ kind, text }) => [kind, text])

  test.each([
    [terraform('vpc', { spec: { disableDriftDetection: true } }), 'spec.disableDriftDetection is set'],
    [helmRelease('a', { spec: { driftDetection: { mode: 'disabled' } } }), 'spec.driftDetection.mode is disabled'],
    [
      kustomization('a', { annotations: { 'kustomize.toolkit.fluxcd.io/reconcile': 'disabled' } }),
      'kustomize.toolkit.fluxcd.io/reconcile is disabled',
    ],
    [
      terraform('vpc', { annotations: { 'kustomize.toolkit.fluxcd.io/ssa': 'IfNotPresent' } }),
      'kustomize.toolkit.fluxcd.io/ssa is ifnotpresent',
    ],
  ])('that somebody has turned off is told of', (raw, why) => {
    expect(of(raw)).toEqual([['detection-off', expect.stringContaining(why)]])
  })

  test.each([
    [terraform('vpc', { spec: { disableDriftDetection: false } })],
    [helmRelease('a')],
    [helmRelease('a', { spec: { driftDetection: { mode: 'warn' } } })],
    [kustomization('a', { annotations: { 'kustomize.toolkit.fluxcd.io/ssa': 'Merge' } })],
    [terraform('vpc', { spec: { disableDriftDetection: 'yes' } })],
  ])('that is on, or as its controller has it by default, is not', (raw) => {
    expect(of(raw)).toEqual([])
  })
})

describe('changes by hand', () => {
  const entry = (manager: string, spec: object, more: object = {}) => ({
    ...{ manager, operation: 'Update', apiVersion: 'v1', time: ago(minute), fieldsType: 'FieldsV1' },
    ...{ fieldsV1: { 'f:spec': spec }, ...more },
  })
  const git = entry('kustomize-controller', { 'f:interval': {}, 'f:path': {} })
  const owned = (managedFields: unknown[], spec: Record<string, unknown> = {}, labels: object = ownedBy('root')) =>
    setByHand(
      swept(
        kustomization('app', {
          ...{ managedFields, labels: { ...labels } },
          spec: { interval: '1h', path: './app', ...spec },
        }),
      ),
    )

  test('are fields of the spec that somebody else has set', () => {
    const [found, ...others] = owned(
      [git, entry('kubectl-edit', { 'f:timeout': {}, 'f:postBuild': { '.': {}, 'f:substitute': { 'f:tag': {} } } })],
      { timeout: '5m', postBuild: { substitute: { tag: 'v2' } } },
    )
    expect(others).toEqual([])
    expect(found).toMatchObject({ kind: 'by-hand', object: 'Kustomization/flux-system/app', since: now - minute })
    expect(found?.text).toContain('spec.postBuild.substitute.tag and spec.timeout')
    expect(found?.text).toContain('were set by kubectl-edit')
  })

  test('that a person has suspended, by the flux command', () => {
    const managed = [git, entry('flux', { 'f:suspend': {} })]
    expect(owned(managed, { suspend: true })).toMatchObject([{ text: expect.stringContaining('spec.suspend') }])
    // Resumed: who had set it is still in managedFields.
    expect(owned(managed)).toEqual([])
    expect(owned(managed, { suspend: false })).toEqual([])
  })

  test('of a list are told as the list', () => {
    const managed = [git, entry('me', { 'f:dependsOn': { 'k:{"name":"a"}': { 'f:name': {} } } })]
    expect(owned(managed, { dependsOn: [{ name: 'a' }] })[0]?.text).toContain('spec.dependsOn of ')
  })

  test('of more fields than a person reads are counted', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const managed = [git, entry('me', Object.fromEntries(names.map((name) => [`f:${name}`, {}])))]
    const text = owned(managed, Object.fromEntries(names.map((name) => [name, 1])))[0]?.text
    expect(text).toContain('spec.e and 2 more')
  })

  test.each([
    ['gates and holds of Lockstep', [entry('lockstep', { 'f:suspend': {} })]],
    ['what Git sets as well', [entry('kubectl-edit', { 'f:interval': {} })]],
    ['a status', [entry('somebody', { 'f:suspend': {} }, { subresource: 'status' })]],
    ['annotations, such as a request to reconcile', [entry('flux', {}, { fieldsV1: { 'f:metadata': {} } })]],
    ['what was there before server-side apply', [entry('before-first-apply', { 'f:suspend': {} })]],
    ['fields of the controllers themselves', [entry('helm-controller', { 'f:suspend': {} })]],
    ['what is not there', [entry('me', { 'f:timeout': {}, 'f:__proto__': {}, 'f:constructor': {} })]],
  ])('are not %s', (_, others) => {
    expect(owned([git, ...others], { suspend: true })).toEqual([])
  })

  test('of an object that is not from Git are all of it', () => {
    expect(owned([entry('kubectl-edit', { 'f:suspend': {} })], { suspend: true }, {})).toEqual([])
  })
})

describe('objects that are stuck', () => {
  const locks = { observations: [], report: undefined }
  const fleet = parseFleet({
    ...{ repositories: [{ name: 'a/b', branches: ['main'] }], layers: ['network', 'apps'] },
    clusters: [{ name: 'staging', eks: 'a', region: 'eu-west-1', environment: 'test' }],
    deadlines: { layer: '60m', layers: { network: '2h' } },
  })
  const look = (
    raw: { kind: string }[],
    options: { unready?: Unready; locks?: Observation[]; report?: ScanReport; at?: number } = {},
  ) =>
    stuckObjects(
      {
        ...{ sources: new Map(), unreadable: [] },
        workloads: new Map(raw.map((each, index) => [`${index}`, swept(each)])),
      },
      {
        fleet,
        now: options.at ?? now,
        unready: options.unready ?? {},
        locks: { observations: options.locks ?? [], report: options.report },
      },
    )
  const working = (since: number, message = 'Applying') => ({
    conditions: [condition('Ready', 'Unknown', 'Progressing', message, since)],
  })

  test('have not been Ready for longer than their layer may take', () => {
    const late = kustomization('app', { status: working(61 * minute) })
    expect(look([late]).found).toMatchObject([
      { kind: 'stuck', object: 'Kustomization/flux-system/app', since: now - 61 * minute },
    ])
    expect(look([kustomization('app', { status: working(59 * minute) })]).found).toEqual([])
    const network = (since: number) => terraform('vpc', { labels: inLayer('network'), status: working(since) })
    expect(look([network(119 * minute)]).found).toEqual([])
    expect(look([network(121 * minute)]).found[0]?.text).toContain('2h')
  })

  test('are seen through tries that begin anew: no sweep has seen them Ready', () => {
    const trying = terraform('vpc', { status: working(0) })
    const first = look([trying])
    expect(first.found).toEqual([])
    const again = { ...trying, status: working(-60 * minute) }
    expect(look([again], { unready: first.unready, at: now + 61 * minute }).found).toHaveLength(1)
    const further = { ...again, status: { ...working(-60 * minute), lastAttemptedRevision: 'main@sha1:b' } }
    expect(look([further], { unready: first.unready, at: now + 61 * minute }).found).toEqual([])
    const ready = { ...trying, status: { conditions: [condition('Ready', 'True')] } }
    expect(look([ready], { unready: first.unready }).unready).toEqual({})
  })

  test.each([
    ['suspended', kustomization('app', { spec: { suspend: true }, status: working(90 * minute) })],
    [
      'waiting for a person to approve a plan',
      terraform('vpc', {
        status: { conditions: [condition('Ready', 'Unknown', 'TerraformPlannedWithChanges', '', 90 * minute)] },
      }),
    ],
    ['new, and without a status', kustomization('app')],
    ['ready for long', kustomization('app', { status: { conditions: [condition('Ready', 'True', '', '', 1e9)] } })],
  ])('are not what is %s', (_, raw) => {
    expect(look([raw]).found).toEqual([])
  })

  test('that their controllers have given up are told at once, with how to have them tried again', () => {
    const conditions = [condition('Stalled', 'True', 'RetriesExceeded', 'install retries exhausted')]
    expect(look([helmRelease('ingress', { status: { conditions } })]).found).toMatchObject([
      { kind: 'stalled', next: expect.stringContaining('reconcile helmrelease ingress --reset') },
    ])
  })

  test('that are being deleted, and are kept', () => {
    const raw = terraform('vpc', { status: { conditions: [condition('Ready', 'True')] } })
    const deleting = { ...raw, metadata: { ...raw.metadata, deletionTimestamp: ago(2 * 60 * minute) } }
    expect(look([deleting]).found[0]?.text).toContain('it is being deleted')
  })

  describe('and the cause of it, where it can be told', () => {
    const hung = terraform('vpc', { status: working(2 * 60 * minute) })
    const lock = (verdict: 'live' | 'stale' | 'free') => {
      const observation = observationOf({})
      const owner = { cluster: 'staging', object: 'Terraform/flux-system/vpc' }
      return {
        ...observation,
        evidence: { ...observation.evidence, owner },
        judgement: { ...observation.judgement, verdict },
      }
    }

    const scan = (overrides: Partial<ScanReport> = {}): ScanReport => ({
      ...{ cluster: 'staging', execution: 'e', startedAt: now - minute, endedAt: now, findings: [], found: 0 },
      ...overrides,
    })

    test.each([
      ['a live holder', [lock('live')], 'the holder lives', 'locks -- explain Terraform/flux-system/vpc'],
      ['a dead one', [lock('stale')], 'its state is locked (stale)', 'locks -- explain'],
      [
        'a run that is dead, and holds no lock',
        [lock('free')],
        'its run is most likely dead',
        'restart tofu-controller',
      ],
      ['the same where no scan has ever seen a lock', [], 'its run is most likely dead', 'restart tofu-controller'],
    ])('%s', (_, observed, why, next) => {
      const [found] = look([hung], { locks: observed, report: scan() }).found
      expect(found?.text).toContain(why)
      expect(found?.next).toContain(next)
    })

    const of = (kind: 'store' | 'unreadable' | 'shared', subject: string) => ({ kind, subject, why: 'x' })
    test.each([
      ['there was no scan yet', undefined],
      ['the last one was before', scan({ startedAt: now - 3 * 60 * minute })],
      ['a store could not be asked', scan({ findings: [of('store', 'S3 bucket states')], found: 1 })],
      ['its lock is where nobody looks', scan({ findings: [of('unreadable', 'Terraform/flux-system/vpc')], found: 1 })],
      ['not all of its findings are known', scan({ found: 201 })],
    ])('no lock that is known is no proof that there is none: %s', (_, report) => {
      const [found] = look([hung], report ? { report } : {}).found
      expect(found?.text).toMatch(/may take \(1h\)\.$/)
    })

    test('a run that fails again and again is not taken for dead', () => {
      const failing = { ...hung, status: { ...working(2 * 60 * minute), reconciliationFailures: 7 } }
      expect(look([failing], { report: scan() }).found[0]?.text).toMatch(/may take \(1h\)\.$/)
    })

    test('a lock that only its controller has met', () => {
      const status = {
        conditions: [
          condition('Ready', 'False', 'TFExecPlanFailed', 'x', 2 * 60 * minute),
          condition('StateLocked', 'True'),
        ],
      }
      expect(look([terraform('vpc', { status })]).found[0]?.text).toContain('it says that its state is locked')
    })

    test('what it depends on', () => {
      const status = { conditions: [condition('Ready', 'False', 'DependencyNotReady', 'x', 2 * 60 * minute)] }
      expect(look([kustomization('app', { status })]).found[0]?.text).toContain('what it depends on is not ready')
    })

    test('what it says is no part of the text, which would be told anew each time', () => {
      const saying = (message: string) =>
        look([
          kustomization('app', {
            status: { conditions: [condition('Ready', 'False', 'BuildFailed', message, 90 * minute)] },
          }),
        ]).found[0]
      expect(saying('a')?.text).toBe(saying('b')?.text)
      expect(saying('a')?.next).toMatch(/^Look at it: kubectl .* \(It says: BuildFailed: a\)$/)
    })

    test('however much it says, what to do is not what is cut off where people are told', () => {
      const message = 'x'.repeat(2_000)
      const says = condition('Ready', 'False', 'BuildFailed', message, 90 * minute)
      const stalled = condition('Stalled', 'True', 'BuildFailed', message, 90 * minute)
      for (const conditions of [[says], [says, stalled]]) {
        const [finding] = look([kustomization('app', { status: { conditions } })]).found
        expect(oneLine(finding?.next ?? '')).toMatch(/(describe kustomization|reconcile kustomization) app/)
      }
    })
  })

  test('and sources that do not fetch', async () => {
    const failing = gitRepository('fleet-infra', {
      status: { conditions: [condition('Ready', 'False', 'GitOperationFailed', 'no access', 90 * minute)] },
    })
    const seen = await sweepObjects(new MemoryCluster('staging', failing))
    const { found } = stuckObjects(seen, { fleet, now, unready: {}, locks })
    expect(found).toMatchObject([{ object: 'GitRepository/flux-system/fleet-infra' }])
    const fine = gitRepository('fleet-infra', { status: { conditions: [condition('Ready', 'True')] } })
    const ready = await sweepObjects(new MemoryCluster('staging', fine))
    expect(stuckObjects(ready, { fleet, now, unready: {}, locks }).found).toEqual([])
  })
})

describe('states', () => {
  const s3 = (name: string, more = 'use_lockfile = true') =>
    terraform(name, {
      spec: {
        backendConfig: {
          customConfiguration: `backend "s3" {
            bucket = "states"
            key = "${name}"
            region = "eu-west-1"
            ${more}
          }`,
        },
      },
    })
  const of = (objects: readonly unknown[], sizeBytes = 10, failing?: Error) =>
    stateFindings(objects, {
      ...{
        cluster: 'staging',
        region: 'eu-west-1',
        readConfiguration: async () => undefined,
        largestState: 1024 * 1024,
      },
      buckets: {
        read: async () => (failing ? Promise.reject(failing) : { exists: true as const, version: '1', sizeBytes }),
      },
      secrets: { read: async () => ({ exists: false }) },
    })

  test('that are locked and small are fine', async () => {
    expect(await of([s3('vpc'), terraform('default')])).toEqual([])
  })

  test('without a lock, or with one that cannot be seen', async () => {
    const found = await of([
      s3('vpc', ''),
      terraform('local', { spec: { backendConfig: { customConfiguration: 'backend "local" {}' } } }),
    ])
    expect(found.map(({ kind, object }) => [kind, object]).sort()).toEqual([
      ['unlocked', 'Terraform/flux-system/local'],
      ['unlocked', 'Terraform/flux-system/vpc'],
    ])
  })

  test('larger than the limit: how large they are is no part of the text', async () => {
    const [found] = await of([s3('vpc')], 2 * 1024 * 1024)
    expect(found).toMatchObject({ kind: 'large-state', next: expect.stringContaining('2 MiB') })
    expect(found?.text).toContain('s3://states/vpc) is larger than 1 MiB')
    expect((await of([s3('vpc')], 3 * 1024 * 1024))[0]?.text).toBe(found?.text)
  })

  test('that cannot be read are told as such, and the others are read', async () => {
    expect(await of([s3('vpc')], 1, new TypeError('s3cret'))).toMatchObject([
      { kind: 'unreadable', object: 'Terraform/flux-system/vpc', next: expect.not.stringContaining('s3cret') },
    ])
  })
})

describe('gates', () => {
  const mark = (rollout: string, branch = 'github.com/a/b#main') => ({
    ...{ spec: { suspend: true }, annotations: { 'lockstep.dev/gate': `${rollout} ${branch}` } },
  })
  const claim = { cluster: 'staging', branch: 'github.com/a/b#main', version: 1, leaseUntil: 0 }
  const holder = { rollout: 'r', execution: 'e', before: 'a', after: 'b', pushedAt: 1 }

  test('of a rollout that is over are told, with how to open them', () => {
    expect(gatesLeft([swept(terraform('vpc', mark('r1')))], [claim])).toMatchObject([
      { kind: 'gate-left', text: expect.stringContaining('rollout r1'), next: expect.stringContaining('resume vpc') },
    ])
  })

  test.each([
    ['while a rollout is at work', mark('r1'), [{ ...claim, holder }]],
    ['of another installation', mark('r1', 'github.com/c/d#main'), [claim]],
    ['that somebody has opened', { ...mark('r1'), spec: {} }, [claim]],
  ])('are not told %s', (_, shape, claims) => {
    expect(gatesLeft([swept(terraform('vpc', shape))], claims)).toEqual([])
  })
})

test('an object that cannot be read is a finding, and the others are looked at', async () => {
  const broken = { ...terraform('broken'), spec: { suspend: 'perhaps' } }
  const seen = await sweepObjects(new MemoryCluster('staging', broken, kustomization('app')))
  expect(seen.unreadable).toMatchObject([{ kind: 'unreadable', object: 'Terraform/flux-system/broken' }])
  expect([...seen.workloads.keys()]).toEqual(['Kustomization/flux-system/app'])
})
