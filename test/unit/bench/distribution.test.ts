import { expect, it } from 'vitest'
import { median, milliseconds, quantile } from '../../bench/distribution.ts'

it('answers one of the values, by nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(quantile(values, 0.95)).toBe(95)
  expect(quantile(values, 1)).toBe(100)
  expect(quantile(values, 0)).toBe(1)
  expect(median([10, 2, 9])).toBe(9)
  expect(median([10, 2, 9, 1])).toBe(2)
})

it('answers no number for no values, which no target allows', () => {
  expect(median([])).toBeNaN()
})

it('shows as many digits as matter', () => {
  expect([0.42, 9.94, 31.4].map(milliseconds)).toEqual(['0.4 ms', '9.9 ms', '31 ms'])
})
