import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { skippedScan } from '../../../functions/lib/locks/scan/scan.ts'
import { theScan, type UnlockRequest, unlockRequest } from '../../../functions/lib/unlock/run/unlock-request.ts'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'
import { failing, failsThen, interpreterOf, machineOf, runOnce, stopClocks } from '../states/machines.ts'

const source = readFileSync(new URL('../../../statemachines/lock-scan.asl.json', import.meta.url), 'utf8')
const machine = loadDefinition(source, {
  ...{
    JudgeFunction: 'judge',
    JudgeOthersFunction: 'judge-others',
    UnlockWatchFunction: 'watch',
    UnlockActFunction: 'act',
  },
  GuardedUnlockStateMachine: 'unlock',
})
/** What stands for the guarded unlock takes its time. */
const unlock = machineOf({ Wait: { Type: 'Wait', Seconds: 600, End: true } })

const counts = { ...skippedScan, skipped: false, live: 2, stale: 1 }
const judges: TaskHandler = async () => counts
const nothing: TaskHandler = async () => ({ undone: 0, left: 0 })
const noStart: TaskHandler = async () => ({ start: [] })
const fails: TaskHandler = async () => {
  throw failing('TypeError')
}

interface Functions {
  readonly judge?: TaskHandler
  readonly others?: TaskHandler
  readonly watch?: TaskHandler
  readonly act?: TaskHandler
}

const handlersOf = ({ judge = judges, others = judges, watch = nothing, act = noStart }: Functions) => ({
  ...{ judge, 'judge-others': others, watch, act },
})

function scan(clusters: string[], functions: Functions = {}) {
  return runOnce(machine, { handlers: handlersOf(functions), machines: { unlock }, input: { clusters } })
}

/** Writes down what it is asked. */
function asking(answer: TaskHandler): { readonly inputs: unknown[]; readonly handler: TaskHandler } {
  const inputs: unknown[] = []
  const handler: TaskHandler = async (input, context) => {
    inputs.push(input)
    return answer(input, context)
  }
  return { inputs, handler }
}

afterEach(stopClocks)

describe('lock-scan', () => {
  test.each([
    ['no cluster', [], 2],
    ['one cluster', ['a'], 4],
    ['several', ['a', 'b', 'c'], 8],
  ])('counts the locks of %s, and of what belongs to none', async (_, clusters, live) => {
    const run = await scan(clusters)
    expect(run.value).toEqual({ live, stale: live / 2, suspect: 0, unknown: 0, unreadable: 0, unrestored: 0 })
  })

  test('gives its steps the cluster and its own id, and nothing that grows', async () => {
    const { inputs, handler } = asking(judges)
    const { arn } = await scan(['a'], { judge: handler })
    expect(inputs).toEqual([{ execution: arn, cluster: 'a' }])
  })

  test('goes on with the other clusters when one fails, and names it', async () => {
    const { inputs, handler } = asking(async (input) => {
      const { cluster } = input as { cluster: string }
      if (cluster === 'b') throw failing('TypeError')
      return counts
    })
    const others = asking(judges)
    const act = asking(noStart)
    const run = await scan(['a', 'b', 'c'], { judge: handler, others: others.handler, act: act.handler })
    expect(run).toMatchObject({ status: 'FAILED', error: 'ScanIncomplete', cause: 'Not done: b (TypeError)' })
    expect(inputs.map((input) => (input as { cluster: string }).cluster)).toEqual(['a', 'b', 'c'])
    expect([others.inputs.length, act.inputs.length]).toEqual([1, 1])
  })

  test('names all that failed', async () => {
    const run = await scan(['a', 'b'], { judge: fails, others: fails, act: fails })
    const others = 'the locks of no cluster (TypeError)'
    expect(run.cause).toBe(`Not done: a (TypeError), b (TypeError), ${others}, what is to be unlocked (TypeError)`)
    expect((await scan(['a'], { others: fails })).cause).toBe(`Not done: ${others}`)
    expect((await scan(['a'], { act: fails })).cause).toBe('Not done: what is to be unlocked (TypeError)')
  })

  test('tries again what can pass, and not for ever', async () => {
    const throttled = (times: number, answer: object) =>
      failsThen(
        Array.from({ length: times }, () => 'LedgerUnavailable'),
        answer as never,
      )
    expect((await scan(['a'], { judge: throttled(3, counts) })).status).toBe('SUCCEEDED')
    expect((await scan(['a'], { judge: throttled(4, counts) })).status).toBe('FAILED')
    expect((await scan([], { others: throttled(3, counts) })).status).toBe('SUCCEEDED')
    expect((await scan([], { act: throttled(3, { start: [] }) })).status).toBe('SUCCEEDED')
    expect((await scan([], { act: throttled(4, { start: [] }) })).status).toBe('FAILED')
  })

  test('takes few state transitions where nothing is to be done', async () => {
    const transitions = async (clusters: string[]) => (await scan(clusters)).transitions
    const [none, one, three] = [await transitions([]), await transitions(['a']), await transitions(['a', 'b', 'c'])]
    expect([none, one - none, three - none]).toEqual([6, 2, 6])
  })
})

describe('what unlocks have left behind', () => {
  test('is looked for in each cluster once that is judged, also where that failed', async () => {
    const order: string[] = []
    const noting =
      (what: string, answer: TaskHandler): TaskHandler =>
      async (input, context) => {
        order.push(`${what} ${(input as { cluster: string }).cluster}`)
        return answer(input, context)
      }
    const { inputs, handler } = asking(noting('watch', nothing))
    await scan(['a'], { judge: noting('judge', fails), watch: handler })
    expect(order).toEqual(['judge a', 'watch a'])
    expect(inputs).toEqual([{ cluster: 'a' }])
  })

  test('and cannot be looked for in one that is out of reach is counted, and the scan goes on', async () => {
    const watch: TaskHandler = async (input) => {
      if ((input as { cluster: string }).cluster === 'b') throw failing('ClusterUnavailable')
      return { undone: 0, left: 0 }
    }
    const act = asking(noStart)
    const run = await scan(['a', 'b', 'c'], { watch, act: act.handler })
    expect(run).toMatchObject({ status: 'SUCCEEDED', value: { live: 8, stale: 4, unrestored: 1 } })
    expect(act.inputs).toEqual([{ clusters: ['a', 'b', 'c'] }])
  })
})

describe('unlocks', () => {
  const request = (lock: string): UnlockRequest =>
    unlockRequest({
      ...{ place: '0123456789abcdef', lock, cluster: 'a', requestedBy: theScan, reason: 'a test', attempt: 0 },
    })
  const starting =
    (...start: UnlockRequest[]): TaskHandler =>
    async () => ({ start })

  test('are started, and go on by themselves', async () => {
    const [one, other] = [request('1'), request('2')]
    const { interpreter, status, seconds } = await scan(['a'], { act: starting(one, other) })
    expect([status, seconds]).toEqual(['SUCCEEDED', 0])
    const started = interpreter
      .list({ machine: 'unlock' })
      .map(({ name, input }) => ({ name, input: JSON.parse(input) }))
    expect(started.reverse()).toEqual([one, other])
    expect(interpreter.list({ machine: 'unlock', status: 'RUNNING' })).toHaveLength(2)
  })

  test('that were started before are not started again, while they run or after that', async () => {
    const handlers = handlersOf({ act: starting(request('1')) })
    const interpreter = interpreterOf({ handlers, machines: { main: machine, unlock } })
    const once = async () => {
      const { executionArn } = interpreter.start({ machine: 'main', input: { clusters: [] } })
      return (await interpreter.finished(executionArn)).status
    }
    expect([await once(), await once()]).toEqual(['SUCCEEDED', 'SUCCEEDED'])
    await new Promise<void>((resolve) => interpreter.clock.after(700_000, resolve))
    expect(await once()).toBe('SUCCEEDED')
    expect(interpreter.list({ machine: 'unlock' }).map(({ status }) => status)).toEqual(['SUCCEEDED'])
  })

  test('of which one cannot be started do not keep the others from it', async () => {
    const bad = { ...request('1'), name: 'no name of an execution' }
    const run = await scan([], { act: starting(bad, request('2')) })
    const cause = `Not done: the start of unlock ${bad.name} (StepFunctions.InvalidNameException)`
    expect(run).toMatchObject({ status: 'FAILED', error: 'ScanIncomplete', cause })
    expect(run.interpreter.list({ machine: 'unlock' })).toHaveLength(1)
  })
})
