import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Evidence, pieceNames } from '../../../functions/lib/locks/evidence.ts'
import { judge, ruleNames } from '../../../functions/lib/locks/verdict/verdict.ts'
import { deadFor, evidenceOf, holderPod, limits, minute, type Scene, taken } from '../../fixtures/lock-evidence.ts'

const judged = (scene: Scene) => judge(evidenceOf(scene), limits)

const container = (changes: object) => ({ container: { ...holderPod.container, restarts: 0, ...changes } as never })
const seconds = (count: number) => taken - 500 + count * 1_000
const restarted = container({ id: 'c-2', startedAt: seconds(90), finishedAt: seconds(88), restarts: 1 })
const loud: Scene['object'] = {
  ...{
    ready: 'False' as const,
    reason: 'TFExecApplyFailed',
    message: 'error acquiring the state lock',
    reconciling: false,
  },
  ...{ stateLocked: true, pendingLock: '6b1f0c9e-0000-4a55-9d0e-1f2e3d4c5b6a' },
} as const
const laptop = { other: 'ana@thinkpad is no runner of this fleet' }
const silentNode = { name: 'node-9', createdAt: taken - 60 * minute }

/** Every rule, by scenes that it decides. */
const table: readonly [rule: string, verdict: string, what: string, scene: Scene][] = [
  ['no-lock', 'free', 'nobody holds it', { lock: { parts: [] } }],
  ['unreadable-record', 'unknown', 'garbage', { lock: { record: undefined, problem: 'is not JSON' } }],
  ['unreadable-record', 'unknown', 'two parts that differ', { lock: { problem: 'differs between its two parts' } }],
  ['young-and-not-a-runner', 'live', "a laptop's, taken a minute ago", { age: 1, holder: laptop }],
  ['not-a-runner', 'suspect', "a laptop's, of yesterday", { age: 1_500, holder: laptop }],
  ['not-a-runner', 'suspect', "a laptop's, whatever else is dead", { holder: laptop, pod: 'gone', sight: deadFor(60) }],
  ['pod-unknown', 'unknown', 'the pod cannot be read', { pod: 'unknown', sight: deadFor(60) }],
  [
    'state-unknown',
    'unknown',
    'dead, and the state cannot be read',
    { pod: 'gone', state: 'unknown', sight: deadFor(9) },
  ],
  [
    'nodes-unknown',
    'unknown',
    'gone, and the nodes cannot be read',
    { pod: 'gone', nodes: 'unknown', sight: deadFor(9) },
  ],
  [
    'node-silent',
    'suspect',
    'gone, while a node is silent',
    { pod: 'gone', nodes: { silent: [silentNode] }, sight: deadFor(9) },
  ],
  [
    'node-silent',
    'suspect',
    'failed, while a node is silent: an earlier pod of that name may run there',
    { pod: { phase: 'Failed' }, nodes: { silent: [silentNode] }, sight: deadFor(9) },
  ],
  [
    'dead-but-young',
    'suspect',
    'dead, after half an hour',
    { age: 30, pod: { phase: 'Failed' }, sight: deadFor(20, 30) },
  ],
  ['dead-but-not-quiet', 'suspect', 'dead for four minutes', { pod: { phase: 'Failed' }, sight: deadFor(4) }],
  ['dead-but-not-quiet', 'suspect', 'dead, and seen so for the first time', { pod: { phase: 'Failed' } }],
  [
    'dead-but-not-quiet',
    'suspect',
    'dead, and the state was written three minutes ago',
    { pod: { phase: 'Failed' }, sight: { ...deadFor(30), unchangedSince: taken + 117 * minute } },
  ],
  ['holder-dead', 'stale', 'its pod has failed', { pod: { phase: 'Failed' }, sight: deadFor(6) }],
  ['holder-dead', 'stale', 'its pod is gone', { pod: 'gone', sight: deadFor(6) }],
  ['holder-dead', 'stale', 'its container was started again', { pod: restarted, sight: deadFor(6) }],
  [
    'holder-dead',
    'stale',
    'its container has ended',
    { pod: container({ state: 'terminated', finishedAt: seconds(60) }), sight: deadFor(6) },
  ],
  [
    'holder-dead',
    'stale',
    'its container waits to be started again',
    { pod: container({ state: 'waiting', finishedAt: seconds(60) }), sight: deadFor(6) },
  ],
  ['holder-dead', 'stale', 'another pod', { pod: { uid: 'pod-b' }, sight: { ...deadFor(6), pod: { uid: 'pod-a' } } }],
  ['holder-dead', 'stale', 'a pod that is far younger', { pod: { createdAt: taken + 30 * minute }, sight: deadFor(6) }],
  [
    'holder-dead',
    'stale',
    'its node is gone',
    { nodes: { own: { name: 'node-1', state: 'gone' } }, sight: deadFor(6) },
  ],
  [
    'holder-dead',
    'stale',
    'gone, and only a node is silent that came later',
    {
      pod: 'gone',
      nodes: { silent: [{ ...silentNode, createdAt: taken + 60 * minute }] },
      sight: { ...deadFor(6), pod: { uid: 'pod-a', node: 'node-1' } },
    },
  ],
  [
    'holder-dead',
    'stale',
    "a plan's, after twenty minutes",
    {
      ...{ age: 40, record: { operation: 'OperationTypePlan' }, pod: { phase: 'Failed' }, sight: deadFor(6, 40) },
    },
  ],
  [
    'node-does-not-answer',
    'suspect',
    'its node does not answer',
    { nodes: { own: { name: 'node-1', state: 'not ready' }, silent: [{ ...silentNode, name: 'node-1' }] } },
  ],
  ['outlived-its-run', 'suspect', 'the pod runs on, and meets its own lock', { object: loud }],
  ['holder-runs', 'live', 'an apply of two hours', {}],
  [
    'holder-runs',
    'live',
    'a node that is silent has begun a minute ago',
    {
      ...{ age: 5, nodes: { own: { name: 'node-1', state: 'not ready' } } },
    },
  ],
  ['young', 'live', 'its pod is about to start', { age: 1, pod: container({ state: 'waiting' }) }],
  ['age-alone', 'suspect', 'the kubelet has said nothing for two hours', { pod: { container: undefined } }],
]

describe('a verdict', () => {
  it.each(table)('%s is %s: %s', (rule, verdict, _, scene) => {
    expect(judged(scene)).toMatchObject({ rule, verdict })
    expect(judged(scene).reasons.join('')).not.toBe('')
    expect(judged(scene).wouldChange).not.toBe('')
  })

  it('has a scene here for each of its rules', () => {
    expect(ruleNames.filter((name) => !table.some(([rule]) => rule === name))).toEqual([])
  })

  it('of an operation that nobody knows takes the age of an apply', () => {
    const scene = { age: 40, record: { operation: 'OperationTypeSomething' }, pod: { phase: 'Failed' } }
    expect(judged({ ...scene, sight: deadFor(30, 40) })).toMatchObject({ rule: 'dead-but-young' })
  })
})

describe('a pod that is gone', () => {
  const settled: Scene['object'] = { ready: 'True', reason: 'NoDrift', message: 'No drift', reconciling: false }

  it('proves nothing where nobody ever saw one and the object does not say that it applies', () => {
    expect(judged({ pod: 'gone', object: settled, sight: deadFor(6) })).toMatchObject({ rule: 'age-alone' })
  })

  it('is a proof where it was seen beside the lock', () => {
    const sight = { ...deadFor(6), pod: { uid: 'pod-a' } }
    expect(judged({ pod: 'gone', object: settled, sight })).toMatchObject({ verdict: 'stale' })
  })

  it('is none while its node is silent, however young that Node is: it may be registered anew', () => {
    const silent = [{ name: 'node-1', createdAt: taken + 15 * minute }]
    const sight = { ...deadFor(6), pod: { uid: 'pod-a', node: 'node-1' } }
    expect(judged({ pod: 'gone', nodes: { silent }, sight })).toMatchObject({ rule: 'node-silent' })
    const unknown = { ...sight, pod: { uid: 'pod-a' } }
    expect(judged({ pod: 'gone', nodes: { silent }, sight: unknown })).toMatchObject({ rule: 'node-silent' })
  })
})

describe('three that look alike', () => {
  it('a loud ghost: started again in the same pod, and the state is said to be locked', () => {
    expect(judged({ pod: restarted, object: loud, sight: deadFor(6) })).toMatchObject({
      ...{ verdict: 'stale', scene: 'loud ghost' },
    })
  })

  it.each(['gone', { phase: 'Failed' }] as const)('a silent ghost: "Applying" for ever, and the pod is dead', (pod) => {
    expect(judged({ pod, sight: deadFor(6) })).toMatchObject({ verdict: 'stale', scene: 'silent ghost' })
  })

  it('a live orphan, too, where the dead controller still looks ready and does not renew its Lease', () => {
    const leader = { holder: 'x', renewedAt: taken, leaseMs: 15_000 }
    expect(judged({ controller: { leader } })).toMatchObject({ verdict: 'live', scene: 'live orphan' })
    const renewed = { ...leader, renewedAt: taken + 119 * minute + 50_000 }
    expect(judged({ controller: { leader: renewed } }).scene).toBeUndefined()
  })

  it('a live orphan: the controller is dead, and its runner works on', () => {
    const controller = { ready: 0, pods: [], leader: { holder: 'x', renewedAt: taken, leaseMs: 15_000 } }
    expect(judged({ controller })).toMatchObject({ verdict: 'live', scene: 'live orphan' })
    // However long it takes.
    expect(judged({ controller, age: 3_000 })).toMatchObject({ verdict: 'live', scene: 'live orphan' })
  })
})

describe('clocks', () => {
  it('a node ten minutes slow and an API server a minute ahead make no pod younger than its lock', () => {
    const pod = { createdAt: taken - 20_000 + 50_000, container: undefined }
    const record = { createdAt: taken - 10 * minute }
    expect(judged({ pod, record, sight: deadFor(6) })).toMatchObject({ rule: 'age-alone' })
  })

  it('a Created in the future counts for nothing, and is said', () => {
    const record = { createdAt: taken + 600 * minute }
    const scene = {
      record,
      pod: { phase: 'Failed' },
      sight: { firstSeenAt: taken + 100 * minute, unchangedSince: taken },
    }
    expect(judged(scene)).toMatchObject({ rule: 'dead-but-young' })
    expect(judged(scene).reasons).toContain('Created does not count: Created is in the future')
  })

  it('a Created of long ago does not make a lock old that the last scan did not find', () => {
    const sight = { firstSeenAt: taken + 115 * minute, notSeenAt: taken + 113 * minute, unchangedSince: taken }
    expect(judged({ pod: { phase: 'Failed' }, sight })).toMatchObject({ rule: 'dead-but-young' })
  })

  it('nor one that the store contradicts', () => {
    const parts = [{ store: 's3', address: 's3://b/k.tflock', version: 'e', takenAt: taken + 110 * minute }] as const
    const scene = {
      lock: { parts: [...parts] },
      pod: { phase: 'Failed' },
      sight: { firstSeenAt: taken + 119 * minute },
    }
    expect(judged(scene)).toMatchObject({ rule: 'dead-but-young' })
  })

  it('a pod that is younger than the lock by less than clocks may differ is not another one', () => {
    const pod = { createdAt: taken + 50_000, container: undefined }
    expect(judged({ pod, sight: deadFor(6) })).toMatchObject({ rule: 'age-alone' })
  })

  it('the time of an API server decides on pods of that API server', () => {
    const parts = [{ store: 'kubernetes', address: 'Lease', version: '1', takenAt: taken - 500 }] as const
    const pod = { createdAt: taken + 4_500, container: undefined }
    expect(judged({ lock: { parts: [...parts] }, pod, sight: deadFor(6) })).toMatchObject({ rule: 'holder-dead' })
  })

  it('a container that was never started again proves nothing, whatever its times', () => {
    expect(judged({ pod: container({ startedAt: seconds(300) }), sight: deadFor(6) })).toMatchObject({
      verdict: 'live',
    })
  })

  it('a container that was started in the second in which the lock was taken may be the holder', () => {
    const same = container({ startedAt: seconds(0), restarts: 1 })
    expect(judged({ pod: same, sight: deadFor(6) })).toMatchObject({ verdict: 'live' })
  })
})

describe('whatever the evidence', () => {
  const stale = table.filter(([, verdict]) => verdict === 'stale').map(([, , , scene]) => scene)

  it('a piece that becomes unknown makes nothing stale', () => {
    fc.assert(
      fc.property(anyScene(), fc.subarray([...pieceNames], { minLength: 1 }), (scene, names) => {
        const evidence = evidenceOf(scene)
        const before = judge(evidence, limits).verdict
        const blurred: Evidence = { ...evidence }
        for (const name of names) Object.assign(blurred, { [name]: unread(evidence[name]) })
        const after = judge(blurred, limits).verdict
        if (before !== 'stale') expect(after).not.toBe('stale')
      }),
    )
  })

  it.each(['pod', 'state'] as const)('without its %s nothing is stale', (name) => {
    for (const scene of stale) expect(judged({ ...scene, [name]: 'unknown' }).verdict).toBe('unknown')
  })

  it('a holder that is no runner is at most suspect', () => {
    fc.assert(
      fc.property(anyScene(), (scene) => {
        expect(['stale']).not.toContain(judged({ ...scene, holder: laptop }).verdict)
      }),
    )
  })

  it('more age and more quiet never take staleness away', () => {
    for (const scene of stale) {
      const evidence = evidenceOf(scene)
      expect(judge({ ...evidence, at: evidence.at + 600 * minute }, limits).verdict).toBe('stale')
    }
  })
})

const unread = (piece: Evidence['pod' | 'nodes' | 'controller' | 'object' | 'state']) => ({
  ...piece,
  reading: { unknown: 'was not answered' },
})

function anyScene(): fc.Arbitrary<Scene> {
  const time = fc.integer({ min: -30, max: 200 }).map((minutes) => taken + minutes * minute)
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
  const pod = fc.record({
    uid: fc.constantFrom('pod-a', 'pod-b'),
    createdAt: time,
    phase: fc.constantFrom('Pending', 'Running', 'Failed', 'Succeeded', 'Unknown'),
    container: maybe(
      fc.record({
        id: fc.constantFrom('c-1', 'c-2'),
        state: fc.constantFrom('waiting', 'running', 'terminated'),
        startedAt: maybe(time),
        finishedAt: maybe(time),
        restarts: fc.nat(2),
      }),
    ),
  })
  const own = maybe(fc.record({ name: fc.constant('node-1'), state: fc.constantFrom('ready', 'not ready', 'gone') }))
  const silent = fc.array(fc.record({ name: fc.constant('node-9'), createdAt: time }), { maxLength: 1 })
  const sight = fc.record({
    ...{ firstSeenAt: time, unchangedSince: time, notSeenAt: maybe(time), deadSince: maybe(time) },
    pod: maybe(fc.record({ uid: fc.constantFrom('pod-a', 'pod-b'), containerId: fc.constantFrom('c-1', 'c-2') })),
  })
  return fc.record({
    age: fc.integer({ min: 0, max: 300 }),
    sight,
    pod: fc.oneof(pod, fc.constantFrom('gone', 'unknown')),
    nodes: fc.oneof(fc.record({ own, silent }), fc.constant('unknown')),
    object: fc.constantFrom(loud, {}, 'gone', 'unknown'),
    state: fc.constantFrom({}, 'gone', 'unknown'),
  }) as fc.Arbitrary<Scene>
}
