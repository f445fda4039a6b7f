import { unlockAnnotation } from '../../functions/lib/flux/annotations.ts'
import type { Rung } from '../../functions/lib/unlock/plan/rung.ts'
import type { UnlockOutcome } from '../../functions/lib/unlock/run/unlock-run.ts'
import { ChaosClock } from './chaos-clock.ts'
import type { Double } from './lockstep/double.ts'
import type { Call, Faults } from './lockstep/fault.ts'
import { Lockstep } from './lockstep/lockstep.ts'
import { RandomFaults } from './lockstep/random-faults.ts'
import { Random } from './random.ts'
import { type AtCall, isAt, type Scenario, scenarioOf } from './scenario.ts'
import { toldChange } from './told-change.ts'
import { Truth, type Wrong } from './truth.ts'
import { deployment } from './world/names.ts'
import { type Act, World } from './world/world.ts'

/** How a run ended. */
export interface RunReport {
  readonly seed: number
  readonly wrongs: readonly Wrong[]
  /** Parts of locks that Lockstep has removed. */
  readonly unlocked: number
  /** Executions of the unlock. */
  readonly unlocks: number
  readonly calls: number
  readonly fate: Scenario['fate']
  /** Of the executions, by which way each of them was to unlock, and how it ended. */
  readonly ways: readonly { readonly rung: Rung | undefined; readonly outcome: UnlockOutcome | undefined }[]
}

export interface RunOptions {
  readonly seed: number
  readonly double?: Double | undefined
  /** Default: what follows from the seed. */
  readonly scenario?: Scenario
  readonly faults?: Faults
  readonly trace?: (line: string) => void
}

const start = Date.UTC(2026, 2, 2, 10)
const minute = 60_000
/** For all to be put back: longer than a turn lasts, and the retries of a machine. In milliseconds. */
const settlingMs = 4 * 60 * minute

/** One run: everything in it follows from its seed. */
export async function chaosRun({ seed, double, ...given }: RunOptions): Promise<RunReport> {
  const random = new Random(seed)
  const scenario = given.scenario ?? scenarioOf(random.fork())
  const clock = new ChaosClock(start)
  const told = given.trace
  const trace = told && ((line: string) => told(`${new Date(clock.now()).toISOString().slice(11, 23)} ${line}`))
  const truth = new Truth({ now: clock.now, writer: () => host.writer })
  const world = new World({ clock, random: random.fork(), truth, begin: scenario.begin })
  if (trace) {
    world.api.follow((key, event) => {
      const line = toldChange(key, event)
      if (line !== undefined) trace(`      ${world.api.isLockstep ? 'LOCKSTEP: ' : ''}${line}`)
    })
  }
  const act = (what: Act) => {
    trace?.(`* ${what}`)
    world.act(what)
  }
  const host: Lockstep = new Lockstep({
    ...{ clock, random: random.fork(), truth, world, double, trace },
    faults: given.faults ?? new RandomFaults(random.fork(), scenario, start),
    eventsLost: scenario.eventsLost,
    beforeCall: (call) => happenAt(call, scenario, host, act),
  })
  if (scenario.fate === 'half taken') world.dieTakingTheLock()
  for (const { at, act: what } of scenario.doings) clock.act(at, () => act(what))
  for (const at of scenario.asks) clock.after(at, () => void host.ask())
  for (const at of scenario.extraScans) clock.after(at, () => void host.scan())
  host.start()
  await clock.until(() => false, start + scenario.until)
  await settle(clock, world, host, truth, trace)
  truth.end()
  const unlocks = await host.ledger.listUnlockRuns('staging', 100)
  return {
    ...{ seed, fate: scenario.fate, wrongs: truth.wrongs, unlocked: truth.unlocked },
    ...{ unlocks: host.unlocks, calls: host.calls, ways: unlocks.map(({ rung, outcome }) => ({ rung, outcome })) },
  }
}

/** What is to happen right before a call. */
function happenAt(call: Call, scenario: Scenario, host: Lockstep, act: (what: Act) => void): void {
  const isNow = (when: AtCall) => isAt(when, call)
  if (scenario.stops.some(isNow)) host.stopAnExecution()
  if (scenario.restarts.some(isNow)) void host.restartHost()
  if (scenario.losses.some(isNow)) host.loseLedger()
  for (const { when, act: what } of scenario.doingsAtCalls) if (isNow(when)) act(what)
}

/** Nothing happens any more but what follows from what has happened. */
async function settle(
  clock: ChaosClock,
  world: World,
  lockstep: Lockstep,
  truth: Truth,
  trace: RunOptions['trace'],
): Promise<void> {
  trace?.('* calm')
  world.calm()
  lockstep.calm()
  const until = clock.now() + settlingMs
  // What is in flight arrives, and a scan sees it.
  const step = 3 * minute
  for (let at = clock.now() + step; at <= until; at += step) {
    await clock.until(() => false, at)
    if (lockstep.isIdle && truth.isPutBack && !(await leftBehind(world, lockstep, clock))) return
  }
  const left = await leftBehind(world, lockstep, clock)
  if (left) truth.wrong('left behind', left)
}

async function leftBehind(world: World, { ledger, isIdle }: Lockstep, clock: ChaosClock): Promise<string | undefined> {
  if (!isIdle) return 'an execution that runs'
  if (world.api.get(deployment)?.metadata.annotations?.[unlockAnnotation]) return 'the annotation'
  const turn = await ledger.readUnlock('staging')
  if (turn?.intent) return `the intent of ${turn.unlock}`
  if (turn && turn.leaseUntil > clock.now()) return `the turn of ${turn.unlock}`
  return undefined
}
