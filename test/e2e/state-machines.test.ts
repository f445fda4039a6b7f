import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readMachines } from '../../infra/local/host.ts'
import { machineArn } from '../contracts/machine-engine.ts'
import { executionTrail, statesOf } from '../contracts/machine-trail.ts'
import { World } from '../integration/world.ts'
import { MotoEngine } from './moto/step-functions.ts'
import { pathOf, recordedFamilies } from './moto/step-functions-recording.ts'
import { type Comparison, Replayer } from './moto/step-functions-replay.ts'
import { type RealTimeWorld, startRealTimeWorld } from './moto/step-functions-world.ts'

/**
 * The integration tests run once more, on our interpreter. Whatever path the state machines take there is taken again
 * on moto's engine, where the functions answer the same.
 */
const integration = new URL('../integration/', import.meta.url)
const scenarios = readdirSync(integration).filter(
  (file) => file.endsWith('.test.ts') && readFileSync(new URL(file, integration), 'utf8').includes("from './world.ts'"),
)

let engine: MotoEngine
/** By path. */
const replays = new Map<string, Promise<Comparison[]>>()

/** The state machines as they are deployed, under names of their own: what engines know of one another does not meet. */
function documents(prefix = ''): Record<string, string> {
  const texts = Object.entries(readMachines()).map(([name, { text }]) => [`${prefix}${name}`, text] as const)
  const own = (text: string) => text.replaceAll(machineArn(''), machineArn(prefix))
  return Object.fromEntries(texts.map(([name, text]) => [name, own(text)]))
}

beforeAll(async () => {
  engine = await MotoEngine.start({ python: inject('python') })
  const replayer = await Replayer.on(engine, documents())
  World.beforeClose.add(({ host }) => {
    for (const family of recordedFamilies(host.interpreter)) {
      const path = pathOf(family)
      if (replays.has(path)) continue
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
    expect(ours.fleet).toEqual(['Waves', 'NextWave', 'RolloutWave', 'Rollout', 'NextWave', 'Done'])
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
