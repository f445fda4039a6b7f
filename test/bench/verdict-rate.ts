import { performance } from 'node:perf_hooks'
import { judge } from '../../functions/lib/locks/verdict/verdict.ts'
import { deadFor, evidenceOf, limits, type Scene } from '../fixtures/lock-evidence.ts'
import { median } from './distribution.ts'
import type { Measurement } from './measurement.ts'

const target = 100_000
const perRound = 100_000
const rounds = 7

/** One of each kind: what is decided early, what late. */
const scenes: readonly Scene[] = [
  {},
  { age: 5 },
  { pod: 'gone', sight: deadFor(6) },
  { pod: { phase: 'Failed' }, sight: deadFor(6) },
  { pod: 'unknown' },
  { holder: { other: 'is no runner' } },
  { lock: { record: undefined, problem: 'is not JSON' } },
]

/** Verdicts a second, of evidence that is there. The median of the rounds counts. */
export async function measureVerdictRate(): Promise<readonly Measurement[]> {
  const evidence = scenes.map(evidenceOf)
  const rates = Array.from({ length: rounds }, () => rateOf(evidence))
  const rate = median(rates)
  const thousands = (count: number) => `${Math.round(count / 1_000).toLocaleString('en')},000`
  return [
    {
      what: 'verdicts on locks, a second',
      target: `at least ${thousands(target)}`,
      measured: `median ${thousands(rate)}, least ${thousands(Math.min(...rates))} (${rounds} times ${thousands(perRound)})`,
      ok: rate >= target,
      values: { medianPerSecond: rate, leastPerSecond: Math.min(...rates), rounds },
    },
  ]
}

function rateOf(evidence: readonly ReturnType<typeof evidenceOf>[]): number {
  let stale = 0
  const begin = performance.now()
  for (let index = 0; index < perRound; index++) {
    const one = evidence[index % evidence.length]
    if (one && judge(one, limits).verdict === 'stale') stale++
  }
  const seconds = (performance.now() - begin) / 1_000
  if (stale === 0) throw new Error('nothing was stale')
  return perRound / seconds
}
