import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Found } from '../../../functions/lib/sweep/finding.ts'
import { findingEvent } from '../../../functions/lib/sweep/finding-event.ts'
import { afterTelling, mostFindings, nextRecord, type SweepRecord } from '../../../functions/lib/sweep/sweep-record.ts'

const names = ['a', 'b', 'c']

/** What is wrong in the cluster: for each object nothing, or one of several texts. */
const world = fc.dictionary(fc.constantFrom(...names), fc.constantFrom('one', 'two'))

/** A sweep: what it sees, how many of its events are published, and whether it writes that down. */
const sweeps = fc.array(fc.record({ sees: world, told: fc.nat({ max: 4 }), dies: fc.boolean() }), { maxLength: 12 })

const found = (seen: Record<string, string>): Found[] =>
  Object.entries(seen).map(([name, text]) => ({ kind: 'drift', object: `Terraform/x/${name}`, text, next: 'n' }))

test('any sequence of sweeps and changes tells each finding once per change, and the last news is the truth', () => {
  fc.assert(
    fc.property(sweeps, (drawn) => {
      let stored: SweepRecord | undefined
      /** By id, as whoever listens keeps them. */
      const heard = new Map<string, ReturnType<typeof findingEvent>>()
      const sweep = (sees: Record<string, string>, at: number, told: number, dies: boolean) => {
        stored = nextRecord('staging', stored, { at, found: found(sees), firstSeen: {}, declined: {}, unready: {} })
        const changes = stored.untold.slice(0, told)
        for (const change of changes) {
          const event = findingEvent(change, 'arn')
          const known = heard.get(event.id)
          if (known) expect(event).toEqual(known)
          heard.set(event.id, event)
        }
        if (!dies) stored = afterTelling(stored, changes.length)
      }
      let at = 0
      for (const { sees, told, dies } of drawn) sweep(sees, ++at, told, dies)
      const last = drawn.at(-1)?.sees ?? {}
      sweep(last, ++at, Number.POSITIVE_INFINITY, false)
      const before = heard.size
      sweep(last, ++at, Number.POSITIVE_INFINITY, false)
      expect(heard.size).toBe(before)

      for (const name of names) {
        const news = [...heard.values()].filter(({ object }) => object === `Terraform/x/${name}`)
        // New, then changes of the text, then gone; and from the beginning.
        for (const [index, { what, text }] of news.entries()) {
          const earlier = news[index - 1]
          const isThere = earlier !== undefined && earlier.what !== 'gone'
          expect(what === 'new').toBe(!isThere)
          if (what === 'changed') expect(text).not.toBe(earlier?.text)
        }
        const latest = news.at(-1)
        expect(latest === undefined || latest.what === 'gone' ? undefined : latest.text).toBe(last[name])
      }
    }),
    { numRuns: 500 },
  )
})

test('what people know of stays when there are too many', () => {
  const of = (count: number, from = 0): Found[] =>
    Array.from({ length: count }, (_, index) => ({ kind: 'stuck', object: `x${from + index}`, text: 't', next: 'n' }))
  const sight = { firstSeen: {}, declined: {}, unready: {} }
  const first = nextRecord('staging', undefined, { at: 1, found: of(mostFindings), ...sight })
  const told = afterTelling(first, first.untold.length)
  const more = nextRecord('staging', told, { at: 2, found: [...of(10, mostFindings), ...of(mostFindings)], ...sight })
  expect(more.more).toBe(10)
  expect(more.untold).toEqual([])
  const fewer = nextRecord('staging', more, { at: 3, found: of(mostFindings, 10), ...sight })
  expect(fewer.untold.map(({ change }) => change)).toEqual([
    ...Array.from({ length: 10 }, () => 'gone'),
    ...Array.from({ length: 10 }, () => 'new'),
  ])
})

test('names from a cluster play no tricks on a terminal', () => {
  const sight = { at: 1, firstSeen: {}, declined: {}, unready: {} }
  const [finding] = nextRecord('staging', undefined, {
    ...{ ...sight, found: [{ kind: 'by-hand', text: `\u001b[2J${'x'.repeat(500)}`, next: 'a\u202eb' }] },
  }).findings
  expect(finding?.text).toMatch(/^\?\[2Jx+…$/)
  expect(finding?.text.length).toBe(400)
  expect(finding?.next).toBe('a?b')
})

test('what sources serve that is left alone is kept as the sweep saw it', () => {
  const seen = { firstSeen: { a: { commit: 'x', at: 1 } }, declined: { b: 'y' } }
  expect(nextRecord('staging', undefined, { at: 2, found: [], unready: {}, ...seen })).toMatchObject(seen)
})
