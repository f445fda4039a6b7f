import { readFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'
import { push } from '../../fixtures/raw-objects.ts'
import { failing, failsThen, machineOf, runOnce, stopClocks } from '../states/machines.ts'

const source = readFileSync(new URL('../../../statemachines/sweep.asl.json', import.meta.url), 'utf8')
const machine = loadDefinition(source, { SweepClusterFunction: 'sweep-cluster', FleetStateMachine: 'fleet' })
const fleet = machineOf({ Wait: { Type: 'Wait', Seconds: 600, End: true } })
const counts = { findings: 3, told: 1, restored: 0 }

const sweep = (handler: TaskHandler, machines = { fleet }) =>
  runOnce(machine, { handlers: { 'sweep-cluster': handler }, machines, input: { cluster: 'staging' } })

afterEach(stopClocks)

test('starts a rollout for each push that was found, and waits for none', async () => {
  const pushes = [push({ delivery: '1' }), push({ delivery: '2' })]
  const inputs: unknown[] = []
  const run = await sweep(async (input) => {
    inputs.push(input)
    return { ...counts, pushes }
  })
  const [sweeping] = run.interpreter.list({ machine: 'main' })
  expect(inputs).toEqual([{ cluster: 'staging', execution: sweeping?.executionArn }])
  expect(run.value).toEqual({ ...counts, rollouts: 2 })
  const started = run.interpreter.list({ machine: 'fleet' })
  expect(started.map(({ name, status }) => [name, status]).sort()).toEqual(
    pushes.map(({ delivery }) => [delivery, 'RUNNING']),
  )
  const given = started.map(({ executionArn }) => JSON.parse(run.interpreter.describe(executionArn).input ?? ''))
  expect(given).toEqual(expect.arrayContaining(pushes))
})

test.each([[[]], [[push()]]])('ends well, whatever there is to roll out', async (pushes) => {
  expect((await sweep(async () => ({ ...counts, pushes }))).value).toMatchObject({ rollouts: pushes.length })
})

test('finds what was found before, and knows it better by now: the second one starts nothing', async () => {
  const found = { ...counts, pushes: [push(), push({ pushedAt: 1_767_600_001_000 })] }
  const run = await sweep(async () => found)
  expect(run.value).toMatchObject({ rollouts: 2 })
  expect(run.interpreter.list({ machine: 'fleet' })).toHaveLength(1)
})

test('tries again what can pass, and no other error', async () => {
  const passing = await sweep(failsThen(['ClusterUnavailable'], { ...counts, pushes: [] }))
  expect(passing.value).toMatchObject({ findings: 3 })
  const run = await sweep(async () => {
    throw failing('ClusterForbidden')
  })
  expect(run.error).toBe('ClusterForbidden')
})
