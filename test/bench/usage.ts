import { type HistoryEvent, statesEntered } from '../../infra/local/states/history.ts'
import type { Interpreter } from '../../infra/local/states/interpreter.ts'
import { VirtualClock } from '../../infra/local/virtual-clock.ts'
import { benchFleet } from './bench-fleet.ts'
import { BenchWorld } from './bench-world.ts'
import { countLedgerUnits, type LedgerUnits } from './ledger-requests.ts'
import type { Measurement } from './measurement.ts'

/**
 * What AWS would charge for, of one push to one cluster (100 objects in 5 layers), of one scan for locks, and of one sweep. Time is the
 * simulated cluster's, whose controllers take as long as was measured on real ones: a function that waits is paid for that.
 */
export async function measureUsage(): Promise<readonly Measurement[]> {
  const clock = new VirtualClock()
  const bench = benchFleet({ objectCount: 100, layerCount: 5 })
  const world = await BenchWorld.start(bench, { clock, activity: clock })
  const { interpreter } = world.host
  try {
    const push = await countLedgerUnits(() => world.rollOut(world.cluster.commit()))
    const [fleet] = interpreter.list({ machine: 'fleet' })
    const scanOf = (clusters: string[]) => countLedgerUnits(() => run(interpreter, 'lock-scan', { clusters }))
    const none = await scanOf([])
    const one = await scanOf(['staging'])
    const sweep = await countLedgerUnits(() => run(interpreter, 'sweep', { cluster: 'staging' }))
    const historyOf = (arn: string | undefined) => (arn === undefined ? [] : interpreter.history(arn))
    return [
      line('the fleet’s execution of a push, one cluster', historyOf(fleet?.executionArn), nothing),
      line('the rollout of a push, 100 objects in 5 layers', historyOf(push.answer.executionArn), push.units),
      line('a scan for locks, without its clusters', historyOf(none.answer), none.units),
      line('a scan for locks, one cluster', historyOf(one.answer), one.units),
      line('a sweep of one cluster', historyOf(sweep.answer), sweep.units),
    ]
  } finally {
    await world.close()
    clock.stop()
  }
}

const nothing: LedgerUnits = { readUnits: 0, writeUnits: 0 }

/** The ARN of an execution that has ended. */
function run(interpreter: Interpreter, machine: string, input: object): Promise<string> {
  return new Promise((resolve) => {
    const stop = interpreter.onStatus(({ detail }) => {
      if (detail.status === 'RUNNING' || detail.executionArn !== started.executionArn) return
      stop()
      resolve(started.executionArn)
    })
    const started = interpreter.start({ machine, input: input as never })
  })
}

function line(what: string, history: readonly HistoryEvent[], units: LedgerUnits): Measurement {
  const transitions = statesEntered(history).length
  const calls = callsIn(history)
  const seconds = calls.reduce((sum, call) => sum + call.seconds, 0)
  const perFunction = calls.flatMap(({ name, invocations, seconds }) => [
    [`invocations/${name}`, invocations] as const,
    [`seconds/${name}`, Math.round(seconds * 100) / 100] as const,
  ])
  const invocations = calls.reduce((sum, call) => sum + call.invocations, 0)
  return {
    what: `usage: ${what}`,
    target: '',
    measured: `${transitions} transitions, ${invocations} invocations, ${seconds.toFixed(1)} s of functions that wait, ${units.writeUnits} writes, ${units.readUnits} reads`,
    ok: undefined,
    values: { transitions, events: history.length, ...units, ...Object.fromEntries(perFunction) },
  }
}

interface Calls {
  readonly name: string
  invocations: number
  seconds: number
}

/** Of each function, from being scheduled to its answer. */
function callsIn(history: readonly HistoryEvent[]): Calls[] {
  const byId = new Map(history.map((event) => [event.id, event]))
  const calls = new Map<string, Calls>()
  for (const event of history) {
    if (event.type !== 'TaskSucceeded' && event.type !== 'TaskFailed') continue
    const scheduled = scheduledOf(event, byId)
    const { FunctionName } = JSON.parse(scheduled?.taskScheduledEventDetails?.parameters ?? '{}')
    if (!scheduled || typeof FunctionName !== 'string') continue
    const name = FunctionName.replace(/^.*:/, '')
    const call = calls.get(name) ?? { name, invocations: 0, seconds: 0 }
    call.invocations += 1
    call.seconds += (Date.parse(event.timestamp) - Date.parse(scheduled.timestamp)) / 1_000
    calls.set(name, call)
  }
  return [...calls.values()]
}

function scheduledOf(event: HistoryEvent, byId: ReadonlyMap<number, HistoryEvent>): HistoryEvent | undefined {
  let current: HistoryEvent | undefined = event
  while (current && !current.taskScheduledEventDetails) current = byId.get(current.previousEventId)
  return current
}
