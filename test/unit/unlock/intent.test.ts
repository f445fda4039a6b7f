import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  annotationOf,
  type Change,
  type Intent,
  IntentTooLarge,
  IntentUnreadable,
  intentIn,
  intentSchema,
  mostAnnotationBytes,
} from '../../../functions/lib/unlock/hold/intent.ts'
import { intentOf } from '../../fixtures/unlock-intent.ts'

const suspension = (index: number): Change => ({
  ...{ object: `Terraform/team-${index}/vpc`, uid: '0b5e8a0e-7d2c-4f3a-9c1d-2a8f7c6b5e4d', field: 'suspend' },
  ...{ from: index % 2 === 0 ? null : false, to: true },
})
const intentWith = (count: number) =>
  intentOf({ changes: Array.from({ length: count }, (_, each) => suspension(each)) })

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/)
const uid = fc.uuid()
const key = (kind: string) => fc.tuple(name, name).map(([namespace, name]) => `${kind}/${namespace}/${name}`)
const value = fc.record(
  { forceUnlock: fc.constantFrom('no', 'yes', 'auto'), lockIdentifier: fc.string({ maxLength: 50 }) },
  { requiredKeys: [] },
)
const change: fc.Arbitrary<unknown> = fc.oneof(
  fc.record({
    ...{ object: key('Deployment'), uid, field: fc.constant('replicas') },
    ...{ from: fc.nat(), to: fc.constant(0) },
  }),
  fc.record({
    ...{ object: fc.oneof(key('HelmRelease'), key('Kustomization'), key('Terraform')), uid },
    ...{ field: fc.constant('suspend'), from: fc.constantFrom(null, false), to: fc.constant(true) },
  }),
  fc.record({
    ...{ object: key('Terraform'), uid, field: fc.constant('forceUnlock') },
    ...{ from: fc.option(value), to: value },
  }),
)
const intents = fc
  .record({
    ...{ unlock: uid, cluster: name, at: fc.nat() },
    deployment: fc.record({ object: key('Deployment'), uid }),
    locked: fc.record({ object: key('Terraform'), uid, lock: uid }),
    changes: fc.array(change, { minLength: 1, maxLength: 8 }),
  })
  .filter((drawn): drawn is Intent => intentSchema.safeParse(drawn).success)

test('an intent is read back from its annotation as it was written, in one line', () => {
  fc.assert(
    fc.property(intents, (intent) => {
      const text = annotationOf(intent)
      expect(text).not.toContain('\n')
      expect(intentIn(text, 'here')).toEqual(intent)
    }),
  )
})

test('several hundred changes fit in an annotation; what does not is refused before anything is changed', () => {
  expect(Buffer.byteLength(annotationOf(intentWith(600)))).toBeLessThanOrEqual(mostAnnotationBytes)
  expect(() => annotationOf(intentWith(1_000))).toThrow(IntentTooLarge)
})

test('an annotation that is too long is not even parsed', () => {
  expect(() => intentIn(' '.repeat(mostAnnotationBytes) + annotationOf(intentOf()), 'here')).toThrow(/too long/)
})

test('whatever somebody else wrote is unreadable, and what it says is not repeated', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.jsonValue().map((json) => JSON.stringify({ v: 1, ch: json })),
      ),
      (text) => {
        expect(() => intentIn(text, 'here')).toThrow(IntentUnreadable)
      },
    ),
  )
  const text = annotationOf(intentOf()).replace('85ef41bb', 'hunter 2')
  expect(() => intentIn(text, 'here')).toThrow(
    /^What a guarded unlock was to change cannot be read from here \(not as it should be: locked\.lock\)/,
  )
})

describe('is refused', () => {
  const [suspend, , replicas, force] = intentOf().changes as [Change, Change, Change, Change]
  test.each<[string, unknown]>([
    ['a field that is none of these', { ...replicas, field: 'image' }],
    ['a kind that cannot be suspended', { ...suspend, object: 'Secret/flux-system/tofu-controller' }],
    ['a name with a path in it', { ...suspend, object: 'HelmRelease/flux-system/../../x' }],
    ['a change that changes nothing', { ...replicas, from: 0 }],
    ['a field beside the known ones', { ...suspend, token: 'secret' }],
    ['a word that forceUnlock does not know', { ...force, to: { forceUnlock: 'always' } }],
  ])('%s', (_, wrong) => {
    expect(intentSchema.safeParse(intentOf({ changes: [suspend] })).success).toBe(true)
    expect(intentSchema.safeParse(intentOf({ changes: [wrong as Change] })).success).toBe(false)
  })

  test('a field that is changed twice, and an intent without changes', () => {
    expect(
      intentSchema.safeParse(intentOf({ changes: [suspend, { ...suspend, from: false } as Change] })).success,
    ).toBe(false)
    expect(intentSchema.safeParse(intentOf({ changes: [] })).success).toBe(false)
  })
})
