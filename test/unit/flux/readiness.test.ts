import { describe, expect, test } from 'vitest'
import { type Expectation, hasApplied, readWorkload } from '../../../functions/lib/flux/readiness.ts'
import { parseSource } from '../../../functions/lib/flux/source.ts'
import { parseWorkload } from '../../../functions/lib/flux/workload.ts'
import { gitRepository, head, helmRelease, kustomization, type Shape, terraform } from '../../fixtures/raw-objects.ts'

const R = head('b')
const at = (commit: string) => `main@sha1:${commit}`
const make = { Kustomization: kustomization, HelmRelease: helmRelease, Terraform: terraform }

const cond = (type: string, status: 'True' | 'False' | 'Unknown', reason = 'R', message = '') => ({
  ...{ type, status, reason, message },
})
const ready = (reason = 'ReconciliationSucceeded') => cond('Ready', 'True', reason)
const failed = (reason: string) => cond('Ready', 'False', reason, 'why')
const busy = cond('Ready', 'Unknown', 'Progressing')
const reconciling = (reason = 'Progressing', message = '') => cond('Reconciling', 'True', reason, message)
const pathMissing = cond('Ready', 'False', 'ArtifactFailed', 'kustomization path not found: stat /tmp/x')
const checking = (commit: string) => `Running health checks for revision ${at(commit)} with a timeout of 5m0s`

function read(kind: keyof typeof make, shape: Shape, expectation: Partial<Expectation> = {}) {
  const workload = parseWorkload(kind, make[kind]('x', shape))
  return readWorkload(workload, {
    follows: kind === 'HelmRelease' ? 'generation' : 'revision',
    commits: [R],
    token: 'T',
    source: undefined,
    ...expectation,
  })
}

/** An object with our token on it, handled or not, and this status. */
const asked = (status: object, handled = true): Shape => ({
  annotations: { 'reconcile.fluxcd.io/requestedAt': 'T' },
  generation: 2,
  status: { observedGeneration: 2, ...(handled && { lastHandledReconcileAt: 'T' }), ...status },
})

describe('Kustomization', () => {
  const applied = (commit: string) => ({ lastAttemptedRevision: at(commit), lastAppliedRevision: at(commit) })

  test.each([
    ['ready at the revision', asked({ conditions: [ready()], ...applied(R) }), 'ready'],
    ['ready before the token is recorded', asked({ conditions: [ready()], ...applied(R) }, false), 'ready'],
    ['ready, but at an older revision', asked({ conditions: [ready()], ...applied(head('a')) }), 'idle'],
    [
      'older revision, token still to come',
      asked({ conditions: [ready()], ...applied(head('a')) }, false),
      'reconciling',
    ],
    ['ready of R-1 beside Reconciling', asked({ conditions: [ready(), reconciling()], ...applied(R) }), 'reconciling'],
    ['conditions before lastAppliedRevision', asked({ conditions: [ready()], lastAttemptedRevision: at(R) }), 'idle'],
    ['an older generation', asked({ observedGeneration: 1, conditions: [ready()], ...applied(R) }), 'idle'],
    ['running', asked({ conditions: [busy, reconciling()] }, false), 'reconciling'],
    ['failed at the revision', asked({ conditions: [failed('BuildFailed')], lastAttemptedRevision: at(R) }), 'failed'],
    [
      'failed and trying again',
      asked({
        conditions: [failed('HealthCheckFailed'), reconciling('ProgressingWithRetry')],
        lastAttemptedRevision: at(R),
      }),
      'failed',
    ],
    [
      'failed at an older revision',
      asked({ conditions: [failed('BuildFailed')], lastAttemptedRevision: at(head('a')) }),
      'idle',
    ],
    [
      'failed before our request',
      asked({ conditions: [failed('BuildFailed')], lastAttemptedRevision: at(R) }, false),
      'reconciling',
    ],
    ['dependency', asked({ conditions: [failed('DependencyNotReady')], lastAttemptedRevision: at(R) }), 'dependency'],
    ['artifact missing', asked({ conditions: [failed('ArtifactFailed')] }), 'idle'],
    ['path missing', asked({ conditions: [pathMissing], ...applied(head('a')) }), 'failed'],
    ['path missing before our request', asked({ conditions: [pathMissing], ...applied(head('a')) }, false), 'idle'],
    [
      'health check cancelled by a newer change',
      asked({ conditions: [failed('HealthCheckCanceled')], lastAttemptedRevision: at(R) }),
      'reconciling',
    ],
    [
      'stalled',
      asked({ conditions: [failed('X'), cond('Stalled', 'True', 'Broken')], lastAttemptedRevision: at(R) }),
      'failed',
    ],
    [
      'suspended, though the token was recorded',
      { ...asked({ conditions: [ready()], ...applied(R) }), spec: { suspend: true } },
      'suspended',
    ],
    ['never reconciled', asked({}, false), 'idle'],
  ])('%s', (_, shape, state) => {
    expect(read('Kustomization', shape).state).toBe(state)
  })

  test('a path that is missing counts only as an answer to a request of ours', () => {
    const shape = asked({ conditions: [pathMissing], ...applied(head('a')) })
    expect(read('Kustomization', shape, { token: undefined }).state).toBe('idle')
  })

  test.each([
    ['health checks run', [busy, reconciling('Progressing', checking(R))], true],
    ['what it applied is not healthy', [failed('HealthCheckFailed')], true],
    ['it builds', [busy, reconciling('Progressing', `Building manifests for revision ${at(R)} with`)], false],
    [
      'health checks of the revision before were cut short',
      [busy, reconciling(), cond('Healthy', 'Unknown', 'Progressing', checking(head('a')))],
      false,
    ],
  ])('has applied the revision or not: %s', (_, conditions, expected) => {
    const workload = parseWorkload(
      'Kustomization',
      kustomization('x', asked({ conditions, lastAttemptedRevision: at(R) })),
    )
    expect(hasApplied(workload, [R])).toBe(expected)
  })

  test('another writer has replaced our token, and theirs was handled', () => {
    const shape: Shape = {
      annotations: { 'reconcile.fluxcd.io/requestedAt': 'theirs' },
      status: {
        observedGeneration: 1,
        lastHandledReconcileAt: 'theirs',
        conditions: [failed('BuildFailed')],
        lastAttemptedRevision: at(R),
      },
    }
    expect(read('Kustomization', shape).state).toBe('failed')
  })

  test('a commit that the source has moved on to counts too', () => {
    const shape = asked({ conditions: [ready()], ...applied(head('d')) })
    expect(read('Kustomization', shape, { commits: [R, head('d')] }).state).toBe('ready')
  })

  test('an object that is being deleted is terminating, whatever its conditions say', () => {
    const raw = kustomization('x', asked({ conditions: [ready()], ...applied(R) }))
    const workload = parseWorkload('Kustomization', {
      ...raw,
      metadata: { ...raw.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    })
    const expectation = { follows: 'revision' as const, commits: [R], token: 'T', source: undefined }
    expect(readWorkload(workload, expectation).state).toBe('terminating')
  })

  test('one on an OCI artifact is ready at the digest that its source serves', () => {
    const digest = `latest@sha256:${'1'.repeat(64)}`
    const source = parseSource('OCIRepository', {
      ...gitRepository('oci', { status: { artifact: { revision: digest } } }),
      kind: 'OCIRepository',
    })
    const expectation = { follows: 'origin' as const, source }
    expect(
      read('Kustomization', asked({ conditions: [ready()], lastAppliedRevision: digest }), expectation).state,
    ).toBe('ready')
    expect(
      read('Kustomization', asked({ conditions: [ready()], lastAppliedRevision: 'older' }), expectation).state,
    ).toBe('idle')
  })
})

describe('Terraform', () => {
  const planned = {
    conditions: [cond('Ready', 'Unknown', 'TerraformPlannedWithChanges')],
    plan: { pending: 'plan-main-b' },
  }
  const done = { lastAttemptedRevision: at(R), lastAppliedRevision: at(R) }
  const lockError = cond('Ready', 'False', 'TFExecPlanFailed', 'error acquiring the state lock: Lock Info: ID: a')
  const met = { lastAttemptedRevision: at(R), lock: { pending: 'a' } }
  const stateLocked = cond('StateLocked', 'True', 'LockHeld')

  test('that tries again at a locked state is still waiting for the lock', () => {
    expect(read('Terraform', asked({ ...met, conditions: [busy, stateLocked] }, false))).toMatchObject({
      ...{ state: 'reconciling', lock: 'a' },
    })
    expect(read('Terraform', asked({ ...met, conditions: [busy] }, false))).not.toHaveProperty('lock')
  })

  test.each([
    ['applied, five seconds before the token is recorded', asked({ conditions: [ready()], ...done }, false), 'ready'],
    [
      'a plan without changes moves lastPlannedRevision only',
      asked({
        conditions: [ready('TerraformPlannedNoChanges')],
        lastAttemptedRevision: at(R),
        lastAppliedRevision: at(head('a')),
        lastPlannedRevision: at(R),
      }),
      'ready',
    ],
    ['lastAppliedRevision comes before Ready', asked({ conditions: [busy], ...done }, false), 'reconciling'],
    [
      'a generation that was bumped without a run',
      asked({ conditions: [ready()], lastAttemptedRevision: at(head('a')), lastAppliedRevision: at(head('a')) }),
      'idle',
    ],
    [
      'lastAttemptedRevision is written on DependencyNotReady too',
      asked({ conditions: [failed('DependencyNotReady')], lastAttemptedRevision: at(R) }),
      'dependency',
    ],
    [
      'a pending plan beside Ready',
      asked({ conditions: [ready()], ...done, plan: { pending: 'plan-main-b' } }),
      'idle',
    ],
    [
      'a plan that waits for a person',
      asked({ ...planned, lastPlannedRevision: at(R), lastPlannedGeneration: 2 }),
      'approval',
    ],
    ['a plan of the revision before', asked({ ...planned, lastPlannedRevision: at(head('a')) }), 'idle'],
    [
      'a plan of the revision before, token still to come',
      asked({ ...planned, lastPlannedRevision: at(head('a')) }, false),
      'reconciling',
    ],
    [
      'a plan of the spec before',
      asked({ ...planned, lastPlannedRevision: at(R), lastPlannedGeneration: 1 }, false),
      'reconciling',
    ],
    ...(['auto', 'plan-main-b'] as const).map((approvePlan): [string, Shape, string] => [
      `a plan that ${approvePlan} approves`,
      { ...asked({ ...planned, lastPlannedRevision: at(R) }), spec: { approvePlan } },
      'reconciling',
    ]),
    [
      'a plan of which a part of the id is approved, which applies nothing',
      { ...asked({ ...planned, lastPlannedRevision: at(R) }), spec: { approvePlan: 'plan-main' } },
      'approval',
    ],
    [
      'a plan that is applied by nobody',
      { ...asked({ ...planned, lastPlannedRevision: at(R) }), spec: { planOnly: true } },
      'ready',
    ],
    ['the state is locked', asked({ ...met, conditions: [lockError, stateLocked] }), 'locked'],
    [
      'the state is locked, nobody knows by which lock',
      asked({ ...met, conditions: [lockError, stateLocked], lock: {} }),
      'locked',
    ],
    [
      'another failure than the lock that was met before',
      asked({ ...met, conditions: [failed('TFExecPlanFailed'), stateLocked] }),
      'failed',
    ],
    [
      'given up because of a lock',
      asked({ ...met, conditions: [lockError, stateLocked, cond('Stalled', 'True', 'RetryLimitReached')] }),
      'failed',
    ],
    ['apply failed', asked({ conditions: [failed('TFExecApplyFailed')], lastAttemptedRevision: at(R) }), 'failed'],
    [
      'a run that was lost: token recorded, nothing done',
      asked({ conditions: [busy], lastAttemptedRevision: at(head('a')) }),
      'idle',
    ],
    ['running', asked({ conditions: [busy], lastAttemptedRevision: at(head('a')) }, false), 'reconciling'],
    [
      'retries spent',
      asked({ conditions: [failed('X'), cond('Stalled', 'True', 'RetryLimitReached')], lastAttemptedRevision: at(R) }),
      'failed',
    ],
  ])('%s', (_, shape, state) => {
    expect(read('Terraform', shape).state).toBe(state)
  })

  test('drift detection alone is done without an applied or planned revision', () => {
    const shape = asked({ conditions: [ready('NoDrift')], lastAttemptedRevision: at(R) })
    expect(read('Terraform', { ...shape, spec: { approvePlan: 'disable' } }).state).toBe('ready')
    expect(read('Terraform', shape).state).toBe('idle')
  })
})

describe('HelmRelease', () => {
  test.each([
    ['ready once the token is handled', asked({ conditions: [ready()] }), 'ready'],
    ['not before', asked({ conditions: [ready()] }, false), 'reconciling'],
    ['upgrade failed', asked({ conditions: [failed('UpgradeFailed')] }), 'failed'],
    [
      'retries exceeded',
      asked({ conditions: [failed('UpgradeFailed'), cond('Stalled', 'True', 'RetriesExceeded')] }),
      'failed',
    ],
    ['source not ready', asked({ conditions: [failed('SourceNotReady')] }), 'idle'],
  ])('%s', (_, shape, state) => {
    expect(read('HelmRelease', shape).state).toBe(state)
  })

  test.each([
    ['the chart was looked at at the revision and is installed', R, '0.2.0', 'ready'],
    ['the chart was not looked at yet', head('a'), '0.2.0', 'idle'],
    ['an older chart is installed', R, '0.1.0', 'idle'],
  ])('with a chart from Git: %s', (_, observed, installed, state) => {
    const status = { artifact: { revision: '0.2.0' }, observedSourceArtifactRevision: at(observed) }
    const source = parseSource('HelmChart', { ...gitRepository('chart', { status }), kind: 'HelmChart' })
    const shape = asked({ conditions: [ready()], lastAttemptedRevision: installed })
    expect(read('HelmRelease', shape, { follows: 'chart', source }).state).toBe(state)
  })

  const chart = (observed: string, conditions: object[]) => {
    const status = { artifact: { revision: '0.2.0' }, observedSourceArtifactRevision: at(observed), conditions }
    return parseSource('HelmChart', { ...gitRepository('chart', { status }), kind: 'HelmChart' })
  }

  test.each([
    ['is served', cond('Ready', 'True', 'ChartPackageSucceeded', "packaged 'x' chart with version '0.2.0'"), 'ready'],
    ['is packaged', cond('Ready', 'True', 'ChartPackageSucceeded', "packaged 'x' chart with version '0.3.0'"), 'idle'],
    ['is being built', cond('Ready', 'Unknown', 'Progressing', 'building artifact'), 'idle'],
  ])('whose chart of the revision %s', (_, condition, state) => {
    const shape = asked({ conditions: [ready()], lastAttemptedRevision: '0.2.0' })
    expect(read('HelmRelease', shape, { follows: 'chart', source: chart(R, [condition]) }).state).toBe(state)
  })

  test.each([
    ['cannot be built at the revision', R, 'failed'],
    ['could not be built before', head('a'), 'idle'],
  ])('whose chart %s, and who does not know', (_, observed, state) => {
    const source = chart(observed, [cond('Ready', 'False', 'InvalidChartReference')])
    const shape = asked({ conditions: [ready()], lastAttemptedRevision: '0.2.0' })
    expect(read('HelmRelease', shape, { follows: 'chart', source }).state).toBe(state)
  })

  test.each([
    ['of this chart', R, '0.2.0', 'failed'],
    ['of the chart before', R, '0.1.0', 'idle'],
    ['of before the chart was looked at', head('a'), '0.2.0', 'idle'],
  ])('a failure %s', (_, observed, installed, state) => {
    const conditions = [failed('UpgradeFailed'), cond('Stalled', 'True', 'RetriesExceeded')]
    const shape = asked({ conditions, lastAttemptedRevision: installed })
    const source = chart(observed, [ready('ChartPackageSucceeded')])
    expect(read('HelmRelease', shape, { follows: 'chart', source, token: undefined }).state).toBe(state)
  })
})

test('an object whose fields have the wrong types is named', () => {
  const raw = kustomization('x', { spec: { suspend: 'yes' } })
  expect(() => parseWorkload('Kustomization', raw)).toThrow(
    /Kustomization\/flux-system\/x cannot be read: spec\.suspend/,
  )
})

test('a controller’s message is cut, not stored whole', () => {
  const shape = asked({
    conditions: [cond('Ready', 'False', 'BuildFailed', 'x'.repeat(10_000))],
    lastAttemptedRevision: at(R),
  })
  expect(read('Kustomization', shape).detail.length).toBeLessThanOrEqual(240)
})
