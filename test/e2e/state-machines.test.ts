import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readMachines } from '../../infra/local/host.ts'
import { interpreterEngine, type MachineEngine, machineArn } from '../contracts/machine-engine.ts'
import { executionTrail, statesOf } from '../contracts/machine-trail.ts'
import { World } from '../integration/world.ts'
import { MotoEngine } from './moto/step-functions.ts'
import { type Family, pathOf, recordedFamilies, waitsForPeople, waitsInVain } from './moto/step-functions-recording.ts'
import { type Comparison, Replayer } from './moto/step-functions-replay.ts'
import { familyFor, functionsInTrouble, outcomesOf, troublesOf } from './moto/step-functions-troubles.ts'
import { type RealTimeWorld, startRealTimeWorld } from './moto/step-functions-world.ts'

/**
 * The integration tests run once more, on our interpreter. Whatever path the state machines take there is taken again
 * on moto's engine, where the functions answer the same. Property tests stay out: what they take differs each time.
 */
const integration = new URL('../integration/', import.meta.url)
const scenarios = readdirSync(integration)
  .filter((file) => file.endsWith('.test.ts') && !file.includes('.property.'))
  .filter((file) => readFileSync(new URL(file, integration), 'utf8').includes("from './world.ts'"))

let engine: MotoEngine
/** By path. */
const replays = new Map<string, Promise<Comparison[]>>()
const families: Family[] = []

/**
 * moto's engine reads no WriterConfig, writes no results, and has no executions of its own for the items of a distributed
 * Map: a fleet's large waves are left out. No scenario has one.
 */
function withoutLargeWaves(text: string): string {
  const { States, ...machine } = JSON.parse(text)
  if (!States.RolloutLargeWave) return text
  const { RolloutLargeWave: _large, StartWave, ...others } = States
  const Choices = StartWave.Choices.filter(({ Next }: { Next: string }) => Next !== 'RolloutLargeWave')
  return JSON.stringify({ ...machine, States: { ...others, StartWave: { ...StartWave, Choices } } })
}

/** The state machines as they are deployed, under names of their own: what engines know of one another does not meet. */
function documents(prefix = ''): Record<string, string> {
  const texts = Object.entries(readMachines()).map(
    ([name, { text }]) => [`${prefix}${name}`, withoutLargeWaves(text)] as const,
  )
  const own = (text: string) => text.replaceAll(machineArn(''), machineArn(prefix))
  return Object.fromEntries(texts.map(([name, text]) => [name, own(text)]))
}

beforeAll(async () => {
  engine = await MotoEngine.start({ python: inject('python') })
  const replayer = await Replayer.on(engine, documents())
  /** A sweep names what it starts by what it found: in two scenarios that find the same, that is one execution for an engine. */
  const replayed = new Set<string>()
  World.beforeClose.add(({ host }) => {
    for (const family of recordedFamilies(host.interpreter)) {
      const path = pathOf(family)
      if (replays.has(path) || waitsInVain(family) || family.some(({ arn }) => replayed.has(arn))) continue
      for (const { arn } of family) replayed.add(arn)
      if (!waitsForPeople(family)) families.push(family)
      const replay = replayer.replay(family)
      // It is awaited at the end.
      replay.catch(() => {})
      replays.set(path, replay)
    }
  })
})

afterAll(async () => {
  World.beforeClose.clear()
  await engine?.close()
})

for (const file of scenarios) {
  // Each with its own hooks.
  describe(`on our interpreter: ${file}`, async () => {
    await import(`../integration/${file}`)
  })
}

describe('on both', () => {
  test('the scenarios take different paths, through every machine', () => {
    expect(replays.size).toBeGreaterThan(20)
    const paths = [...replays.keys()].join()
    for (const machine of Object.keys(readMachines())) expect(paths).toContain(`["${machine}",`)
  })

  test('each path has the same states in the same order, attempts, errors and outputs', async () => {
    for (const [path, replay] of replays) {
      for (const { execution, recorded, replayed } of await replay) {
        expect.soft(replayed, `${execution}, of ${path}`).toEqual(recorded)
      }
    }
  })
})

describe('a function that fails', () => {
  const ours = interpreterEngine()
  afterAll(() => ours.close())

  test('is retried, caught and passed on in the same way, wherever it is called', async () => {
    const troubles = troublesOf(readMachines())
    const entered = troubles.filter((trouble) => familyFor(trouble, families))
    expect(entered.length).toBeGreaterThan(20)
    await inTurns(entered.entries(), async ([index, trouble]) => {
      const family = familyFor(trouble, families) as Family
      const [{ machine, name, input }] = family
      const run = async (on: MachineEngine) => {
        const names = new Set(family.map((execution) => `t${index}-${execution.machine}`))
        // Functions of other machines were not recorded: they are there, and are not started.
        const own = documents(`t${index}-`)
        for (const each of Object.keys(own)) if (!names.has(each)) own[each] = notRun
        const machines = await on.load(own, {
          ...unused(Object.values(own)),
          ...functionsInTrouble(trouble, family),
        })
        return outcomesOf(machines, { machine: `t${index}-${machine}`, name, input })
      }
      const [expected, outcomes] = await Promise.all([run(ours), run(engine)])
      expect.soft(outcomes, JSON.stringify(trouble)).toEqual(expected)
    })
  })
})

describe('the steps themselves, over HTTP', () => {
  const worlds: RealTimeWorld[] = []
  const worldOf = async () => {
    const world = await startRealTimeWorld()
    worlds.push(world)
    return world
  }
  afterAll(async () => {
    for (const world of worlds) await world.close()
  })

  test('a push goes through the same states to the same end', async () => {
    const [ours, theirs] = await Promise.all([onInterpreter(await worldOf()), onMoto(await worldOf())])
    expect(ours.fleet).toEqual([
      ...['TakePush', 'PlanWave', 'StartWave', 'RolloutWave', 'Rollout', 'ConcludeWave', 'NextWave', 'Done'],
    ])
    expect(ours.rollout.slice(-4)).toEqual(['Report', 'Release', 'Outcome', 'Done'])
    expect(theirs).toEqual(ours)
  })

  async function onInterpreter({ host, push }: RealTimeWorld) {
    const { interpreter } = host
    const { executionArn } = interpreter.start({ machine: 'fleet', name: push.delivery, input: push })
    await interpreter.finished(executionArn)
    const fleet = executionTrail(interpreter.history(executionArn))
    const rollout = executionTrail(interpreter.history(rolloutOf(executionArn)))
    return { fleet: statesOf(fleet.trail), rollout: statesOf(rollout.trail), outcome: fleet.output }
  }

  async function onMoto({ handlers, push }: RealTimeWorld) {
    const machines = await engine.load(documents('real-'), handlers)
    const executionArn = await machines.start({ machine: 'real-fleet', name: push.delivery, input: push })
    const fleet = await machines.ended(executionArn)
    const rollout = await machines.ended(rolloutOf(executionArn))
    return { fleet: statesOf(fleet.trail), rollout: statesOf(rollout.trail), outcome: fleet.output }
  }

  const rolloutOf = (fleet: string) => `${fleet.replace('fleet:', 'rollout:')}.staging`
})

const notRun = JSON.stringify({ QueryLanguage: 'JSONata', StartAt: 'Never', States: { Never: { Type: 'Fail' } } })

/** Functions that a recording does not call: they have to be there. */
function unused(own: readonly string[]): Record<string, () => Promise<never>> {
  const names = own.flatMap((text) => [...text.matchAll(/"FunctionName": *"([\w-]+)"/g)].map(([, name = '']) => name))
  return Object.fromEntries(names.map((name) => [name, () => Promise.reject(new Error(`${name} was not recorded`))]))
}

/** A few at a time: most of the time is spent waiting. */
async function inTurns<Item>(left: IterableIterator<Item>, run: (item: Item) => Promise<void>): Promise<void> {
  const worker = async () => {
    for (const item of left) await run(item)
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}
