import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Evidence } from '../../../functions/lib/locks/evidence.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { nextObservation, notReadAgain, withSight } from '../../../functions/lib/locks/scan/remember.ts'
import { judge } from '../../../functions/lib/locks/verdict/verdict.ts'
import { evidenceOf, holderPod, limits, minute, type Scene, taken } from '../../fixtures/lock-evidence.ts'

/** What a scan at that age of the lock finds, when it looks for `lasts` milliseconds. */
function look(scene: Scene, previous?: Observation, lasts = 0): Evidence {
  const { sight: _, ...found } = evidenceOf(scene)
  return withSight(found, found.at + lasts, previous, limits.quietWindow)
}

function next(evidence: Evidence, previous?: Observation): Observation {
  const judgement = judge(evidence, limits)
  return nextObservation({ key: 'k', cluster: 'staging', evidence, judgement, at: evidence.at }, previous)
}

/** The observations of scans of these scenes, one after the other. */
function scans(...scenes: readonly Scene[]): Observation[] {
  const observations: Observation[] = []
  for (const scene of scenes) {
    const previous = observations.at(-1)
    observations.push(next(look(scene, previous), previous))
  }
  return observations
}

const last = (...scenes: readonly Scene[]) => scans(...scenes).at(-1)
const at = (age: number) => taken + age * minute

describe('what is remembered of a lock', () => {
  test('is nothing at first sight', () => {
    expect(look({ age: 10 }, undefined, 700).sight).toEqual({
      ...{ firstSeenAt: at(10) + 700, unchangedSince: at(10) + 700, pod: { uid: 'pod-a', node: 'node-1' } },
    })
  })

  test('is when it was first seen, and since when nothing has moved', () => {
    expect(last({ age: 10 }, { age: 12 }, { age: 14 })?.evidence.sight).toMatchObject({
      ...{ firstSeenAt: at(10), unchangedSince: at(10) },
    })
  })

  test.each<[string, Scene]>([
    ['the state was written', { state: { version: 's2' } }],
    ['the state came to be', { state: 'gone' }],
    ['the state could not be read', { state: 'unknown' }],
    ['the lock was written again', { lock: { parts: [{ store: 'dynamodb', address: 'a', version: 'v2' }] } }],
    ['the lock has nothing to compare', { lock: { parts: [{ store: 'dynamodb', address: 'a' }] } }],
  ])('has moved when %s', (_, moved) => {
    const parts = { lock: { parts: [{ store: 'dynamodb' as const, address: 'a', version: 'v1' }] } }
    const sight = last({ age: 10, ...parts }, { age: 12, ...parts, ...moved })?.evidence.sight
    expect(sight).toMatchObject({ firstSeenAt: at(10), unchangedSince: at(12) })
  })

  test('has moved after a look that could not read the state, and after one that found nothing to compare', () => {
    expect(last({ age: 10 }, { age: 12, state: 'unknown' }, { age: 14 })?.evidence.sight.unchangedSince).toBe(at(14))
    const bare = { lock: { parts: [{ store: 's3' as const, address: 'a' }] } }
    expect(last({ age: 10, ...bare }, { age: 12, ...bare })?.evidence.sight.unchangedSince).toBe(at(12))
  })

  test('begins anew with another lock, which the scan before did not find', () => {
    const sight = last({ age: 10 }, { age: 12, record: { id: 'other' } })?.evidence.sight
    expect(sight).toMatchObject({ firstSeenAt: at(12), notSeenAt: at(10), unchangedSince: at(12) })
    expect(last({ age: 10 }, { age: 12, record: { id: 'other' } }, { age: 14, record: { id: 'other' } })).toMatchObject(
      {
        evidence: { sight: { firstSeenAt: at(12), notSeenAt: at(10) } },
      },
    )
  })

  test('is by what is stored, where there is no record to go by', () => {
    const garbage = (version: string) => ({
      lock: { parts: [{ store: 's3' as const, address: 'a', version }], record: undefined, problem: 'is not JSON' },
    })
    const scene = (age: number, version: string) => ({ age, ...garbage(version) }) as Scene
    expect(last(scene(10, 'v1'), scene(12, 'v1'))?.evidence.sight.firstSeenAt).toBe(at(10))
    expect(last(scene(10, 'v1'), scene(12, 'v2'))?.evidence.sight.firstSeenAt).toBe(at(12))
  })
})

describe('the pod beside a lock', () => {
  const other = { pod: { ...holderPod, uid: 'pod-b', container: undefined } } as Scene

  test('is the one that was first seen, whatever is there later', () => {
    expect(last({ age: 10 }, { age: 12, ...other })?.evidence.sight.pod).toEqual({ uid: 'pod-a', node: 'node-1' })
    expect(last({ age: 10 }, { age: 12, pod: 'gone' })?.evidence.sight.pod?.uid).toBe('pod-a')
    expect(last({ age: 10, pod: 'gone' }, { age: 12, ...other })?.evidence.sight.pod).toEqual({
      uid: 'pod-b',
      node: 'node-1',
    })
  })

  test('gets its node when that is seen for the first time', () => {
    const unscheduled = { pod: { node: undefined } } as Scene
    expect(last({ age: 10, ...unscheduled }, { age: 12 })?.evidence.sight.pod?.node).toBe('node-1')
  })

  test('is forgotten when the lock is not a runner’s, or of another object', () => {
    expect(look({ holder: { other: 'a laptop' } }).sight.pod).toBeUndefined()
    const [before] = scans({ age: 10 })
    const { sight: _, ...found } = evidenceOf({ age: 12, pod: { uid: 'pod-c' } })
    const owner = { cluster: 'production', object: 'Terraform/flux-system/vpc' }
    expect(withSight({ ...found, owner }, found.at, before, limits.quietWindow).sight.pod?.uid).toBe('pod-c')
  })
})

describe('a death', () => {
  const failed = { pod: { phase: 'Failed' } } as const

  test('lasts while every scan finds it', () => {
    expect(last({ age: 60 }, { age: 62, ...failed }, { age: 64, ...failed })?.evidence.sight.deadSince).toBe(at(62))
  })

  test.each<[string, Scene]>([
    ['lives', {}],
    ['cannot be looked at', { pod: 'unknown' }],
    ['may be on a silent node', { ...failed, nodes: { silent: [{ name: 'n', createdAt: 0 }] } }],
    ['is somebody else', { ...failed, holder: { other: 'a laptop' } }],
  ])('begins anew after a scan whose holder %s', (_, between) => {
    const observation = last({ age: 62, ...failed }, { age: 64, ...between }, { age: 66, ...failed })
    expect(observation?.evidence.sight.deadSince).toBe(at(66))
  })

  test('is not carried over a scan that could not read the lock', () => {
    const [before] = scans({ age: 62, ...failed })
    if (!before) throw new Error('no observation')
    const unread = next(notReadAgain(before, 'the table was denied'), before)
    expect(unread.judgement).toMatchObject({ verdict: 'unknown', rule: 'unreadable-record' })
    expect(look({ age: 64, ...failed }, unread).sight).toMatchObject({ firstSeenAt: at(62), deadSince: at(64) })
  })

  test('makes the lock stale after two looks a quiet window apart, however long a look takes', () => {
    expect(last({ age: 70, ...failed }, { age: 74, ...failed })?.judgement.verdict).toBe('suspect')
    const between = { age: 72, ...failed }
    expect(last({ age: 70, ...failed }, between, { age: 75, ...failed })?.judgement.verdict).toBe('stale')
    // What happened between two that are so far apart nobody has seen.
    expect(last({ age: 70, ...failed }, { age: 75, ...failed })?.judgement.verdict).toBe('suspect')
    // The second one began four minutes after the first, and was frozen for an hour.
    const [first] = scans({ age: 70, ...failed })
    expect(judge(look({ age: 74, ...failed }, first, 60 * minute), limits).verdict).toBe('suspect')
    // The first one took until two minutes before the second.
    const slow = look({ age: 70, ...failed }, undefined, 4 * minute)
    expect(judge(look({ age: 76, ...failed }, next(slow)), limits).verdict).toBe('suspect')
  })
})

describe('observations', () => {
  const failed = { pod: { phase: 'Failed' } } as const
  const stale = [
    { age: 70, ...failed },
    { age: 73, ...failed },
    { age: 76, ...failed },
  ]

  test('count their writes, and know since when the verdict is what it is', () => {
    const observations = scans(...stale, { age: 78, ...failed })
    expect(observations.map(({ version }) => version)).toEqual([1, 2, 3, 4])
    expect(observations.map(({ verdictSince }) => verdictSince)).toEqual([at(70), at(70), at(76), at(76)])
  })

  test('count another lock’s verdict from that lock', () => {
    expect(last({ age: 10 }, { age: 12, record: { id: 'other' } })?.verdictSince).toBe(at(12))
  })

  test('keep an offence for each lock that became stale, for 90 days and 20 at most', () => {
    const id = evidenceOf().lock.record?.id
    expect(last(...stale, { age: 78, ...failed })?.offences).toEqual([{ at: at(76), id }])
    const old = Array.from({ length: 20 }, (_, index) => ({ at: taken, id: String(index) }))
    const first = last({ age: 70, ...failed }, { age: 73, ...failed })
    const known = first && { ...first, offences: [{ at: taken - 90 * 24 * 60 * minute, id: 'old' }, ...old] }
    expect(next(look({ age: 76, ...failed }, known), known).offences).toEqual([...old.slice(1), { at: at(76), id }])
  })

  test('count a lock that is stale again after a scan that could not read it as one offence', () => {
    const before = last(...stale)
    if (!before) throw new Error('no observation')
    const unread = next(notReadAgain(before, 'denied'), before)
    const again = next(look({ age: 90, ...failed }, unread), unread)
    const between = next(look({ age: 93, ...failed }, again), again)
    expect(next(look({ age: 96, ...failed }, between), between)).toMatchObject({
      ...{ judgement: { verdict: 'stale' }, offences: [{ at: at(76) }] },
    })
  })
})

test('no lock is stale before it was found dead, and unmoved, in two looks a quiet window apart', () => {
  const scene = fc.record({
    after: fc.integer({ min: 1, max: 4 }),
    pod: fc.constantFrom<Scene['pod']>({}, { phase: 'Failed' }, 'gone', 'unknown', { uid: 'pod-b' }),
    state: fc.constantFrom<Scene['state']>({}, { version: 's2' }, 'unknown'),
    id: fc.constantFrom('a', 'b'),
  })
  fc.assert(
    fc.property(fc.array(scene, { minLength: 1, maxLength: 12 }), (steps) => {
      let age = 100
      const scenes = steps.map(({ after, pod, state, id }) => {
        age += after
        return { age, pod, state, record: { id } } as Scene & { age: number }
      })
      for (const [index, observation] of scans(...scenes).entries()) {
        if (observation.judgement.verdict !== 'stale') continue
        const { state, record } = scenes[index] ?? {}
        const window = scenes.slice(0, index + 1)
        const from = window.findLastIndex(({ age: then }) => then <= (scenes[index]?.age ?? 0) - 5)
        expect(from).toBeGreaterThanOrEqual(0)
        for (const seen of window.slice(from)) {
          expect(seen).toMatchObject({ state, record })
          expect(seen.pod).not.toBe('unknown')
          expect(seen.state).not.toBe('unknown')
        }
      }
    }),
  )
})
