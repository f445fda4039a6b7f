import { expect, test } from 'vitest'
import { chaosRun } from '../../chaos/chaos-run.ts'
import type { Double } from '../../chaos/lockstep/double.ts'
import { type Call, noFault } from '../../chaos/lockstep/fault.ts'
import { rungScenario } from '../../chaos/rung-scenario.ts'
import type { Scenario } from '../../chaos/scenario.ts'

/*
 * A suite in which nothing goes wrong proves nothing, unless it fails with what must not be: each of these is something
 * that Lockstep must not be without.
 */

const minute = 60_000
const faults = { at: () => noFault }

const quiesce = rungScenario('quiesce')

/** Its node is silent, and its pod deleted by force: nothing of it is to be seen, and it works on. */
const hidden: Scenario = {
  ...quiesce,
  ...{ fate: 'hidden', begin: { ...quiesce.begin, applyMs: 120 * minute } },
  doings: [
    { at: 100_000, act: 'the node of the runner falls silent' },
    { at: 110_000, act: 'the runner is deleted by force' },
  ],
}

async function wrongsIn(scenarios: readonly Scenario[], seeds: number, double?: Double): Promise<Set<string>> {
  const seen = new Set<string>()
  for (const scenario of scenarios) {
    for (let seed = 0; seed < seeds; seed++) {
      const { wrongs } = await chaosRun({ seed, scenario, faults, double })
      for (const { what } of wrongs) seen.add(what)
    }
  }
  return seen
}

test('a judge for whom every holder is dead: locks of holders that live are deleted', async () => {
  expect(await wrongsIn([hidden], 6, 'always-stale')).toContain('false unlock')
  expect(await wrongsIn([hidden], 6)).toEqual(new Set())
})

test('nothing is put back', async () => {
  expect(await wrongsIn([quiesce], 1, 'nothing-put-back')).toContain('missed restore')
})

test('a delete of whatever lock is there', async () => {
  const scenario = rungScenario('targeted')
  let at: number | undefined
  const find = ({ method, ofUnlock }: Call) => {
    if (method === 'deleteIfUnchanged') at ??= ofUnlock
    return noFault
  }
  await chaosRun({ seed: 1, scenario, faults: { at: find } })
  const acts = ['a person removes the lock', 'a person takes the lock'] as const
  const doingsAtCalls = acts.map((act) => ({ when: { call: at ?? -1 }, act }))
  expect(await wrongsIn([{ ...scenario, doingsAtCalls }], 2, 'deletes-anything')).toContain('false unlock')
  expect(await wrongsIn([{ ...scenario, doingsAtCalls }], 2)).toEqual(new Set())
})

test('an unlock that goes on while others restore', async () => {
  const stopped = [1, 2, 3].map((change) => ({ ...quiesce, stops: [{ change }] }))
  expect(await wrongsIn(stopped, 8, 'turn-never-lost')).not.toEqual(new Set())
  expect(await wrongsIn(stopped, 8)).toEqual(new Set())
})
