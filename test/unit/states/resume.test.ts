import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Definition } from '../../../infra/local/states/definition.ts'
import { DirectoryExecutionStore } from '../../../infra/local/states/directory-execution-store.ts'
import {
  type ExecutionRecord,
  type ExecutionStore,
  MemoryExecutionStore,
} from '../../../infra/local/states/execution-store.ts'
import { type Interpreter, statesEntered, type TaskHandler } from '../../../infra/local/states/interpreter.ts'
import type { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { ask, failing, interpreterOf, invoke, machineOf, stopClocks, virtualClock } from './machines.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-states-'))
})
afterEach(() => {
  stopClocks()
  rmSync(directory, { recursive: true })
})

/** A store that calls `full` after so many records, like a process that is killed right then. */
class DyingStore implements ExecutionStore {
  readonly tokenKey: Buffer
  private readonly store: ExecutionStore
  private left: number
  private readonly full: () => void

  constructor(store: ExecutionStore, left: number, full: () => void) {
    this.store = store
    this.tokenKey = store.tokenKey
    this.left = left
    this.full = full
  }

  load = (): ExecutionRecord[][] => this.store.load()
  forget = (arn: string): void => this.store.forget(arn)

  append(arn: string, record: ExecutionRecord): void {
    if (this.left-- <= 0) return
    this.store.append(arn, record)
    if (this.left === 0) this.full()
  }
}

const childArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:child'

/** One state of each kind; every task of its own is idempotent. */
const machines: Record<string, Definition> = {
  main: machineOf({
    Set: { Type: 'Pass', Assign: { base: 10, log: ['start'] }, Next: 'Add' },
    Add: invoke('add', {
      Arguments: { FunctionName: 'add', Payload: '{% [$base, $states.input.n] %}' },
      Assign: { sum: '{% $states.result.Payload %}' },
      Next: 'Flaky',
    }),
    Flaky: invoke('flaky', {
      Arguments: { FunctionName: 'flaky', Payload: '{% $states.context.State.RetryCount %}' },
      Retry: [{ ErrorEquals: ['Throttled'], IntervalSeconds: 5, MaxAttempts: 2 }],
      Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Decide', Assign: { flaky: '{% $states.errorOutput.Error %}' } }],
      Next: 'Decide',
    }),
    Decide: { Type: 'Choice', Choices: [{ Condition: '{% $sum > 5 %}', Next: 'Rest' }], Default: 'Never' },
    Rest: { Type: 'Wait', Seconds: 60, Next: 'Ask' },
    Ask: ask('approve', { Assign: { approved: '{% $states.result %}' }, Next: 'Each' }),
    Each: {
      Type: 'Map',
      Items: '{% [1, 2, 3] %}',
      MaxConcurrency: 2,
      ItemProcessor: {
        StartAt: 'Times',
        States: {
          Times: invoke('add', {
            Arguments: { FunctionName: 'add', Payload: '{% [$states.input, $sum] %}' },
            Next: 'Pause',
          }),
          Pause: { Type: 'Wait', Seconds: 1, End: true },
        },
      },
      Assign: { each: '{% $states.result %}' },
      Next: 'Nest',
    },
    Nest: {
      Type: 'Task',
      Resource: 'arn:aws:states:::states:startExecution.sync:2',
      Arguments: { StateMachineArn: childArn, Input: { each: '{% $each %}' } },
      Output: '{% $states.result.Output %}',
      Next: 'Done',
    },
    Never: { Type: 'Fail' },
    Done: {
      Type: 'Succeed',
      Output: '{% {"sum": $sum, "flaky": $flaky, "approved": $approved, "nested": $states.input} %}',
    },
  }),
  child: machineOf({
    Sleep: { Type: 'Wait', Seconds: 5, Next: 'Total' },
    Total: { Type: 'Succeed', Output: '{% $sum($states.input.each) %}' },
  }),
}

const expected = { sum: 17, flaky: 'Broken', approved: 'by a person', nested: 57 }
const order = ['Set', 'Add', 'Flaky', 'Decide', 'Rest', 'Ask', 'Each', 'Nest', 'Done']

/** Answers a token once, half a minute after the first question, by whichever life of the process is there. */
class Person {
  private readonly clock: VirtualClock
  private answered = false
  host: Interpreter | undefined

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  ask(token: string, afterMs = 30_000): void {
    this.clock.after(afterMs, () => {
      if (this.answered) return
      try {
        this.host?.sendTaskSuccess(token, 'by a person')
        this.answered = true
      } catch {
        this.ask(token, 1_000)
      }
    })
  }
}

/** Runs the machine with a death after each of these numbers of records; answers the life that finished it. */
async function runWithDeaths(store: () => ExecutionStore, deaths: readonly number[]) {
  const clock = virtualClock()
  const person = new Person(clock)
  let died = 0
  for (const left of [...deaths, Number.POSITIVE_INFINITY]) {
    const death = Promise.withResolvers<void>()
    const dying = new DyingStore(store(), left, () => {
      died++
      void person.host?.close()
      death.resolve()
    })
    const interpreter = interpreterOf({
      clock,
      machines,
      store: dying,
      handlers: {
        add: async (payload) => (payload as number[]).reduce((sum, n) => sum + n, 0),
        flaky: async (attempt) => Promise.reject(failing(Number(attempt) < 2 ? 'Throttled' : 'Broken')),
        approve: async (payload) => person.ask((payload as { token: string }).token),
      },
    })
    person.host = interpreter
    const [known] = interpreter.list({ machine: 'main' })
    // Died before anything was kept: the caller was never answered, and asks again.
    const { executionArn } = known ?? interpreter.start({ machine: 'main', name: 'one', input: { n: 7 } })
    const end = await Promise.race([death.promise, interpreter.finished(executionArn)])
    if (end) return { ...end, history: interpreter.history(executionArn), interpreter, died }
  }
  throw new Error('did not finish')
}

function expectComplete(run: Awaited<ReturnType<typeof runWithDeaths>>): void {
  expect(run).toMatchObject({ status: 'SUCCEEDED' })
  expect(JSON.parse(run.output ?? '')).toEqual(expected)
  expect(statesEntered(run.history).filter((name) => order.includes(name))).toEqual(order)
  expect(run.history.map(({ id }) => id)).toEqual(run.history.map((_, index) => index + 1))
  expect(run.history.filter(({ type }) => /^Execution/.test(type))).toHaveLength(2)
  expect(run.interpreter.list({ machine: 'child' })).toHaveLength(1)
}

describe('after a restart', () => {
  it('an execution goes on wherever it was', async () => {
    const store = new MemoryExecutionStore()
    const whole = await runWithDeaths(() => store, [])
    expectComplete(whole)
    const records = store.load().flat().length
    for (let death = 1; death < records; death++) {
      const kept = new MemoryExecutionStore()
      expectComplete(await runWithDeaths(() => kept, [death]))
    }
  })

  it('an execution goes on however often that happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 6 }), async (deaths) => {
        const store = new MemoryExecutionStore()
        expectComplete(await runWithDeaths(() => store, deaths))
        stopClocks()
      }),
      { numRuns: 30 },
    )
  })

  it('an execution in a directory goes on', async () => {
    const run = await runWithDeaths(() => new DirectoryExecutionStore(directory), [3, 5, 8, 13])
    expect(run.died).toBe(4)
    expectComplete(run)
  })

  const lives = async (main: Definition, seconds: number, handlers: Record<string, TaskHandler> = {}) => {
    const clock = virtualClock()
    const world = { clock, machines: { main }, handlers }
    const first = interpreterOf({ ...world, store: new DirectoryExecutionStore(directory) })
    const { executionArn } = first.start({ machine: 'main', name: 'one' })
    await new Promise<void>((resolve) => clock.after(seconds * 1000, resolve))
    await first.close()
    const restart = () => interpreterOf({ ...world, store: new DirectoryExecutionStore(directory) })
    return { clock, first, executionArn, restart }
  }
  const secondsOf = ({ startDate, stopDate = '' }: { startDate: string; stopDate?: string }) =>
    (Date.parse(stopDate) - Date.parse(startDate)) / 1000

  it('a wait ends when it would have', async () => {
    const { executionArn, restart } = await lives(machineOf({ A: { Type: 'Wait', Seconds: 100, End: true } }), 40)
    expect(secondsOf(await restart().finished(executionArn))).toBe(100)
  })

  it('the time limit of an execution still counts from its start', async () => {
    const main = machineOf({ A: { Type: 'Wait', Seconds: 500, End: true } }, { TimeoutSeconds: 100 })
    const { executionArn, restart } = await lives(main, 40)
    const description = await restart().finished(executionArn)
    expect([description.status, secondsOf(description)]).toEqual(['TIMED_OUT', 100])
  })

  it('a token keeps its validity and its time limit', async () => {
    const tokens: string[] = []
    const approve: TaskHandler = async (payload) => tokens.push((payload as { token: string }).token)
    const main = machineOf({ A: ask('approve', { TimeoutSeconds: 100 }) })
    const { executionArn, restart } = await lives(main, 40, { approve })
    const second = restart()
    second.sendTaskSuccess(tokens[0] ?? '', 'right after the restart')
    expect(() => second.sendTaskSuccess(tokens[0] ?? '', 'twice')).toThrow('closed')
    expect((await second.finished(executionArn)).output).toBe('"right after the restart"')
    expect(tokens).toHaveLength(1)
  })

  it('a token that is not answered times out when it would have', async () => {
    const main = machineOf({ A: ask('approve', { TimeoutSeconds: 100 }) })
    const { executionArn, restart } = await lives(main, 40, { approve: async () => null })
    const description = await restart().finished(executionArn)
    expect([description.error, secondsOf(description)]).toEqual(['States.Timeout', 100])
  })

  it('a function is called again, with its whole time limit', async () => {
    const stuck: TaskHandler = () => new Promise(() => {})
    const { executionArn, restart } = await lives(machineOf({ A: invoke('f', { TimeoutSeconds: 100 }) }), 40, {
      f: stuck,
    })
    expect(secondsOf(await restart().finished(executionArn))).toBe(140)
  })

  it('retries that were used stay used', async () => {
    const f: TaskHandler = () => Promise.reject(failing('E'))
    const Retry = [{ ErrorEquals: ['E'], IntervalSeconds: 10, BackoffRate: 10, MaxAttempts: 2 }]
    const { executionArn, restart } = await lives(machineOf({ A: invoke('f', { Retry }) }), 50, { f })
    const description = await restart().finished(executionArn)
    expect([description.error, secondsOf(description), description.transitions]).toEqual(['E', 110, 3])
  })

  const nest = {
    Type: 'Task',
    Resource: 'arn:aws:states:::states:startExecution.sync:2',
    Arguments: { StateMachineArn: childArn },
    End: true,
  }

  const startAlone = { ...nest, Resource: 'arn:aws:states:::states:startExecution' }
  const slow = machineOf({ B: { Type: 'Wait', Seconds: 100, End: true } })

  it('a nested execution goes on as the same one', async () => {
    const clock = virtualClock()
    const world = {
      clock,
      machines: { parent: machineOf({ A: nest }), child: machineOf({ B: { Type: 'Wait', Seconds: 100, End: true } }) },
    }
    const store = new MemoryExecutionStore()
    const first = interpreterOf({ ...world, store })
    const { executionArn } = first.start({ machine: 'parent' })
    await new Promise<void>((resolve) => clock.after(40_000, resolve))
    await first.close()
    const second = interpreterOf({ ...world, store })
    expect(secondsOf(await second.finished(executionArn))).toBe(100)
    expect(second.list({ machine: 'child' }).map(({ status }) => status)).toEqual(['SUCCEEDED'])
  })

  it('a nested execution whose parent was stopped just before is stopped', async () => {
    const clock = virtualClock()
    const world = {
      clock,
      machines: { parent: machineOf({ A: nest }), child: machineOf({ B: { Type: 'Wait', Seconds: 100, End: true } }) },
    }
    const store = new MemoryExecutionStore()
    let first: Interpreter | undefined
    // Dies as soon as the end of the parent is written: started, started event and state of both, two of the task.
    const dying = new DyingStore(store, 9, () => void first?.close())
    first = interpreterOf({ ...world, store: dying })
    const { executionArn } = first.start({ machine: 'parent' })
    await new Promise<void>((resolve) => clock.after(40_000, resolve))
    first.stop(executionArn)
    const second = interpreterOf({ ...world, store })
    expect(second.describe(executionArn).status).toBe('ABORTED')
    const [child] = second.list({ machine: 'child' })
    expect(child?.status).toBe('RUNNING')
    expect((await second.finished(child?.executionArn ?? '')).status).toBe('ABORTED')
  })

  it('an execution that was started and left alone goes on, although its parent has ended', async () => {
    const clock = virtualClock()
    const world = { clock, machines: { parent: machineOf({ A: startAlone }), child: slow } }
    const store = new MemoryExecutionStore()
    const first = interpreterOf({ ...world, store })
    const { executionArn } = first.start({ machine: 'parent' })
    await first.finished(executionArn)
    await first.close()
    const second = interpreterOf({ ...world, store })
    const [child] = second.list({ machine: 'child' })
    expect((await second.finished(child?.executionArn ?? '')).status).toBe('SUCCEEDED')
  })

  it('an execution is started once, whenever the host dies', async () => {
    for (let records = 1; records <= 8; records++) {
      const clock = virtualClock()
      const world = { clock, machines: { parent: machineOf({ A: startAlone }), child: slow } }
      const store = new MemoryExecutionStore()
      let first: Interpreter | undefined
      const dead = new Promise<void>((resolve) => {
        const dying = new DyingStore(store, records, () => resolve(first?.close()))
        first = interpreterOf({ ...world, store: dying })
      })
      const executionArn = first?.start({ machine: 'parent' }).executionArn ?? ''
      await dead
      // As if the machine were off for so long that what was started has ended by now.
      await new Promise<void>((resolve) => clock.after(200_000, resolve))
      const second = interpreterOf({ ...world, store })
      expect((await second.finished(executionArn)).status).toBe('SUCCEEDED')
      expect(second.list({ machine: 'child' })).toHaveLength(1)
    }
  })

  it('a closed interpreter records nothing any more', async () => {
    const { clock, first, executionArn } = await lives(machineOf({ A: { Type: 'Wait', Seconds: 100, End: true } }), 40)
    const before = first.history(executionArn).length
    await new Promise<void>((resolve) => clock.after(1000_000, resolve))
    expect(first.history(executionArn)).toHaveLength(before)
    expect(() => first.start({ machine: 'main' })).toThrow('closed')
  })

  it('a name that is open or closed is not forgotten', async () => {
    const { executionArn, restart } = await lives(machineOf({ A: { Type: 'Wait', Seconds: 100, End: true } }), 40)
    const second = restart()
    expect(second.start({ machine: 'main', name: 'one' }).executionArn).toBe(executionArn)
    await second.finished(executionArn)
    await second.close()
    expect(() => restart().start({ machine: 'main', name: 'one' })).toThrow('already exists')
  })

  it('an execution whose state is gone is aborted', async () => {
    const { clock, executionArn } = await lives(machineOf({ A: { Type: 'Wait', Seconds: 100, End: true } }), 40)
    const other = { main: machineOf({ B: { Type: 'Succeed' } }) }
    const second = interpreterOf({ clock, machines: other, store: new DirectoryExecutionStore(directory) })
    const statuses: string[] = []
    second.onStatus(({ detail }) => statuses.push(detail.status))
    const { status, cause } = await second.finished(executionArn)
    expect([status, cause, statuses]).toEqual(['ABORTED', 'There is no state "A" any more.', ['ABORTED']])
  })
})

describe('the directory', () => {
  const wait = { main: machineOf({ A: { Type: 'Wait', Seconds: 100, Next: 'B' }, B: { Type: 'Pass', End: true } }) }
  const open = () => interpreterOf({ machines: wait, store: new DirectoryExecutionStore(directory) })
  const files = () => readdirSync(directory).filter((file) => file.endsWith('.ndjson'))
  const fileOf = (index: number) => join(directory, files()[index] ?? '')

  it('ignores a torn last line, and goes on after it', async () => {
    const first = open()
    const { executionArn } = first.start({ machine: 'main', name: 'one' })
    await first.close()
    appendFileSync(fileOf(0), '{"type":"step","events":[{"id":3,')
    const second = open()
    expect((await second.finished(executionArn)).status).toBe('SUCCEEDED')
    await second.close()
    expect(open().describe(executionArn).status).toBe('SUCCEEDED')
  })

  it('drops a file whose first line is torn', async () => {
    writeFileSync(join(directory, '000000001.ndjson'), '{"type":"star')
    const interpreter = open()
    expect(interpreter.list()).toEqual([])
    interpreter.start({ machine: 'main' })
    expect(files()).toEqual(['000000002.ndjson'])
  })

  it.each(['{"type":"step"}', 'garbage', '{"type":"step","events":[],"transitions":"x"}'])(
    'is refused with a line that is no record: %s',
    async (line) => {
      const first = open()
      first.start({ machine: 'main', name: 'one' })
      await first.close()
      appendFileSync(fileOf(0), `${line}\n`)
      expect(open).toThrow(`${fileOf(0)}:`)
    },
  )

  it('holds one file an execution, and drops it with the execution', async () => {
    const store = new DirectoryExecutionStore(directory)
    const interpreter = interpreterOf({ machines: wait, store, keep: 1 })
    for (const name of ['1', '2']) await interpreter.finished(interpreter.start({ machine: 'main', name }).executionArn)
    expect(files()).toEqual(['000000002.ndjson'])
    expect(readFileSync(fileOf(0), 'utf8').split('\n')[0]).toContain('"name":"2"')
  })

  it('is for its owner only, with a key that is made again when it is torn', () => {
    const key = new DirectoryExecutionStore(directory).tokenKey
    const path = join(directory, 'token-key')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(new DirectoryExecutionStore(directory).tokenKey).toEqual(key)
    writeFileSync(path, '')
    expect(new DirectoryExecutionStore(directory).tokenKey).toHaveLength(32)
  })
})
