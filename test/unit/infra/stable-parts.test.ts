import fc from 'fast-check'
import { expect, it } from 'vitest'
import { stableParts } from '../../../infra/aws/stable-parts.ts'

const keys = fc.uniqueArray(fc.string(), { maxLength: 60 })
const parts = (items: readonly string[], most: number) => stableParts(items, (item) => item, most)
/** By item, the number of its part. */
const places = (split: readonly string[][]) => new Map(split.flatMap((part, at) => part.map((item) => [item, at])))

it('holds every item once, and no more than that in a part', () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 9 }), (items, most) => {
      const split = parts(items, most)
      expect(split.flat().sort()).toEqual([...items].sort())
      for (const part of split) expect(part.length).toBeLessThanOrEqual(most)
    }),
  )
})

it('is one part while that is enough', () => {
  expect(parts(['a', 'b', 'c'], 3)).toEqual([['a', 'b', 'c']])
  expect(parts([], 3)).toEqual([[]])
})

it('moves nothing when items come, but to a part that was not there before', () => {
  fc.assert(
    fc.property(keys, keys, fc.integer({ min: 1, max: 9 }), (items, more, most) => {
      const before = parts(items, most)
      const after = places(parts([...more.filter((item) => !items.includes(item)), ...items], most))
      for (const [item, at] of places(before)) {
        const now = after.get(item) ?? -1
        expect(now === at || now >= before.length).toBe(true)
      }
    }),
  )
})
