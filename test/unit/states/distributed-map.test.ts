import { afterEach, describe, expect, it } from 'vitest'
import { MemoryExecutionStore } from '../../../infra/local/states/execution-store.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'
import type { ObjectFiles } from '../../../infra/local/states/object-files.ts'
import {
  distributedMapOf,
  failing,
  interpreterOf,
  invoke,
  machineOf,
  runOnce,
  stopClocks,
  virtualClock,
} from './machines.ts'

afterEach(stopClocks)

/** A bucket `b` with `items.json`. */
function bucketOf(items: unknown): ObjectFiles & { readonly files: Map<string, string> } {
  const files = new Map([['items.json', JSON.stringify(items)]])
  return {
    files,
    read: async (_, key) => files.get(key) ?? Promise.reject(failing('NoSuchKey')),
    write: async (_, key, text) => void files.set(key, text),
  }
}

const json = (text: string | undefined) => JSON.parse(text ?? 'null')
const read = ({ files }: ReturnType<typeof bucketOf>, ending: string) =>
  json([...files].find(([key]) => key.endsWith(ending))?.[1])
const failsOn =
  (...bad: unknown[]): TaskHandler =>
  async (n) => {
    if (bad.includes(n)) throw failing('Broken')
    return { n }
  }

describe('a distributed Map', () => {
  const main = machineOf({ M: distributedMapOf({ A: invoke('f') }) })

  it('runs each item of the file in an execution of its own, and tells where the results are', async () => {
    const objects = bucketOf([1, 2])
    const run = await runOnce(main, { objects, handlers: { f: failsOn() } })
    const { MapRunArn, ResultWriterDetails } = run.value as Record<string, Record<string, string>>
    expect(MapRunArn).toMatch(/^arn:aws:states:us-east-1:000000000000:mapRun:main\/Each:[0-9a-f-]{36}$/)
    expect(ResultWriterDetails?.Key).toMatch(/^results\/[0-9a-f-]{36}\/manifest\.json$/)
    const manifest = json(objects.files.get(ResultWriterDetails?.Key ?? ''))
    expect(manifest).toMatchObject({ DestinationBucket: 'b', MapRunArn, ResultFiles: { FAILED: [], PENDING: [] } })
    const [file] = manifest.ResultFiles.SUCCEEDED
    expect(file.Size).toBe(objects.files.get(file.Key)?.length)
    expect(json(objects.files.get(file.Key))).toEqual([{ n: 1 }, { n: 2 }])
    const children = run.interpreter.list({ machine: 'main/Each' })
    expect(children.map(({ input }) => input).toSorted()).toEqual(['1', '2'])
    expect(children[0]?.executionArn).toMatch(/:execution:main\/Each:[0-9a-f-]{36}$/)
  })

  it('keeps nothing of its items in its own history', async () => {
    const { history, transitions } = await runOnce(main, { objects: bucketOf([1, 2]), handlers: { f: failsOn() } })
    expect(history.map(({ type }) => type)).toEqual([
      ...['ExecutionStarted', 'MapStateEntered', 'MapStateStarted', 'MapRunStarted'],
      ...['MapRunSucceeded', 'MapStateSucceeded', 'MapStateExited', 'ExecutionSucceeded'],
    ])
    expect(transitions).toBe(1)
  })

  it('tolerates every failure, and describes each in a file of its own', async () => {
    const objects = bucketOf([1, 2, 3])
    const run = await runOnce(main, { objects, handlers: { f: failsOn(1, 3) } })
    expect(run.status).toBe('SUCCEEDED')
    expect(read(objects, 'SUCCEEDED_0.json')).toEqual([{ n: 2 }])
    expect(read(objects, 'FAILED_0.json')).toMatchObject([
      { Status: 'FAILED', Error: 'Broken', Input: '1' },
      { Status: 'FAILED', Error: 'Broken', Input: '3' },
    ])
  })

  it('selects what each item gets; no variable of its own goes along', async () => {
    const ItemSelector = { item: '{% $states.context.Map.Item %}', by: '{% $by %}' }
    const objects = bucketOf(['a'])
    await runOnce(
      machineOf({
        Set: { Type: 'Pass', Assign: { by: 'me' }, Next: 'M' },
        M: distributedMapOf({ A: { Type: 'Pass', End: true } }, { ItemSelector }),
      }),
      { objects },
    )
    expect(read(objects, 'SUCCEEDED_0.json')).toEqual([{ item: { Index: 0, Value: 'a' }, by: 'me' }])
  })

  it('runs as many at once as it may', async () => {
    const clock = virtualClock()
    let running = 0
    let peak = 0
    const f: TaskHandler = () =>
      new Promise((resolve) => {
        peak = Math.max(peak, ++running)
        clock.after(1000, () => {
          running--
          resolve(null)
        })
      })
    const limited = machineOf({ M: distributedMapOf({ A: invoke('f') }, { MaxConcurrency: 60 }) })
    const run = await runOnce(limited, { clock, objects: bucketOf(Array(100).fill(0)), handlers: { f } })
    expect(peak).toBe(60)
    expect(run.seconds).toBe(2)
  })

  it.each([
    ['no file', (objects: ReturnType<typeof bucketOf>) => void objects.files.clear(), 'States.ItemReaderFailed'],
    [
      'no list',
      (objects: ReturnType<typeof bucketOf>) => void objects.files.set('items.json', '{}'),
      'States.ItemReaderFailed',
    ],
    [
      'no place for results',
      (objects: ReturnType<typeof bucketOf>) =>
        Object.assign(objects, { write: () => Promise.reject(failing('AccessDenied')) }),
      'States.ResultWriterFailed',
    ],
  ])('with %s fails in a way that can be caught', async (_, breakIt, error) => {
    const objects = bucketOf([1])
    breakIt(objects)
    const Catch = [{ ErrorEquals: ['States.ALL'], Next: 'Z', Output: '{% $states.errorOutput %}' }]
    const states = { M: distributedMapOf({ A: invoke('f') }, { Catch, Next: 'Z' }), Z: { Type: 'Succeed' } }
    const run = await runOnce(machineOf(states), { objects, handlers: { f: failsOn() } })
    expect(run.value).toMatchObject({ Error: error, Cause: expect.stringContaining('of bucket b') })
    expect(run.history.map(({ type }) => type)).toEqual(expect.arrayContaining(['MapRunFailed', 'MapStateFailed']))
  })

  it('ends its executions when it is stopped', async () => {
    const waits = machineOf({ M: distributedMapOf({ A: { Type: 'Wait', Seconds: 1_000_000, End: true } }) })
    const interpreter = interpreterOf({ machines: { main: waits }, objects: bucketOf([1, 2]) })
    const held = interpreter.clock.begin()
    const { executionArn } = interpreter.start({ machine: 'main' })
    await expect.poll(() => interpreter.list({ machine: 'main/Each' }).length).toBe(2)
    interpreter.stop(executionArn)
    for (const { status } of interpreter.list({ machine: 'main/Each' })) expect(status).toBe('ABORTED')
    held()
  })

  it('goes on after a restart with the executions that it has started', async () => {
    const store = new MemoryExecutionStore()
    const objects = bucketOf([1, 2])
    const machines = { main: machineOf({ M: distributedMapOf({ A: { Type: 'Wait', Seconds: 60, End: true } }) }) }
    const first = interpreterOf({ machines, objects, store })
    const held = first.clock.begin()
    const { executionArn } = first.start({ machine: 'main' })
    await expect.poll(() => first.list({ machine: 'main/Each' }).length).toBe(2)
    const names = first.list({ machine: 'main/Each' }).map(({ name }) => name)
    await first.close()
    held()
    const second = interpreterOf({ machines, objects, store, clock: virtualClock() })
    expect((await second.finished(executionArn)).status).toBe('SUCCEEDED')
    expect(second.list({ machine: 'main/Each' }).map(({ name }) => name)).toEqual(names)
    expect(read(objects, 'SUCCEEDED_0.json')).toEqual([1, 2])
  })
})
