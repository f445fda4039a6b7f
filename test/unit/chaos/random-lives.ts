import { expect, test } from 'vitest'
import { chaosRun } from '../../chaos/chaos-run.ts'
import { add, emptyTally } from '../../chaos/tally.ts'

/** In each of the files that share them, so that they run side by side. */
export const runsPerFile = 2_500

/** Random lives of a cluster, from this seed on: whatever happens in them, nothing goes wrong that must not. */
export function livesFrom(seed: number): void {
  test(`${runsPerFile} lives of a cluster from seed ${seed}`, { timeout: 1_800_000 }, async () => {
    const tally = emptyTally()
    for (let count = 0; count < runsPerFile; count++) add(tally, await chaosRun({ seed: seed + count }))
    expect(tally.failures).toEqual([])
    // They are not idle.
    expect(tally.removed).toBeGreaterThan(runsPerFile / 20)
  })
}
