import type { Call, PortName } from './lockstep/fault.ts'
import type { Random } from './random.ts'
import type { Backend } from './world/lock-place.ts'
import { database, release, root, vpc } from './world/names.ts'
import type { Act, Beginning } from './world/world.ts'

const second = 1_000
const minute = 60 * second

/** What the run of an object does with the lock. */
export const fates = [
  'loud ghost', // its process dies, and the container is started again
  'silent ghost', // its pod fails, or is gone
  'half taken', // it dies with a part of its lock
  'lost machine', // its node falls silent, and is dead
  'silent machine', // its node falls silent, and comes back
  'hidden', // the same, and its pod is deleted by force: the API knows of nothing, and it works on
  'orphan', // it works on without its controller
  'slow', // it works for hours
  'in order',
] as const
export type Fate = (typeof fates)[number]

/** Those that leave a lock behind that is to be unlocked. */
const ghosts: readonly Fate[] = ['loud ghost', 'silent ghost', 'half taken', 'lost machine']

/** Something that somebody does. */
export interface Doing {
  /** Milliseconds after the beginning. */
  readonly at: number
  readonly act: Act
}

/** Right before a call that an execution of the unlock makes: the so many-th one, or the so many-th that changes something. */
export type AtCall = { readonly call: number } | { readonly change: number }

/** Something that somebody does right before a call. */
export interface DoingAtCall {
  readonly when: AtCall
  readonly act: Act
}

/** Nothing is answered at one of the ports. Milliseconds after the beginning. */
export interface Outage {
  readonly port: PortName
  readonly from: number
  readonly until: number
}

export interface Scenario {
  readonly begin: Beginning
  readonly fate: Fate
  readonly doings: readonly Doing[]
  readonly doingsAtCalls: readonly DoingAtCall[]
  /** How often calls go wrong, from 0 to 1. */
  readonly faultRate: number
  readonly eventsLost: number
  /** When the execution of the unlock is stopped; the function goes on, and takes its time. */
  readonly stops: readonly AtCall[]
  /** When the host is killed and started again. */
  readonly restarts: readonly AtCall[]
  /** When the ledger loses all that it has. */
  readonly losses: readonly AtCall[]
  readonly outages: readonly Outage[]
  /** When a person asks for an unlock. Milliseconds after the beginning. */
  readonly asks: readonly number[]
  readonly extraScans: readonly number[]
  /** When the last thing has happened. */
  readonly until: number
}

const anybody: readonly Act[] = [
  ...['a person scales', 'a person suspends', 'a person resumes', 'a person there and back'],
  ...['a person takes the lock', 'a person releases', 'a person sets forceUnlock', 'a person removes the annotation'],
  ...['the object is made again', 'Git is applied', 'the chart is applied', 'an autoscaler scales', 'a new commit'],
  ...['a run is asked for', 'the other runs', 'the other runs', 'a rollout gates', 'the controller crashes'],
  ...['the controller is restarted', 'the controller vanishes', 'a person removes the lock'],
  ...['the runner is deleted by force', 'the runner dies, and its pod fails', 'the node of the runner falls silent'],
  'silent nodes answer again',
] as Act[]

/** What happens in one run. */
export function scenarioOf(random: Random): Scenario {
  const fate = random.pick(random.chance(0.4) ? ghosts : fates)
  const dies = random.between(40, 200) * second
  const until = random.between(13, 20) * minute
  const doings: Doing[] = [...fateOf(fate, dies, random)]
  for (let left = random.pick([0, 0, 1, 2, 4]); left > 0; left--) {
    doings.push({ at: random.between(0, until), act: random.pick(anybody) })
  }
  if (random.chance(0.1)) {
    const at = random.between(5 * minute, until)
    const down = random.pick([20 * second, 3 * minute, 55 * minute])
    doings.push({ at, act: 'the API server goes' }, { at: at + down, act: 'the API server comes' })
  }
  const doingsAtCalls: DoingAtCall[] = []
  for (let left = random.pick([0, 1, 2, 4]); left > 0; left--) {
    doingsAtCalls.push({ when: atCall(random), act: random.pick(anybody) })
  }
  if (random.chance(0.2)) meanwhile(random, dies, doings, doingsAtCalls)
  const losses = random.chance(0.04) ? [atCall(random)] : []
  // Where the ledger loses everything there is only the annotation: without that nobody could know.
  const can = ({ act }: { readonly act: Act }) => losses.length === 0 || act !== 'a person removes the annotation'
  const times = (probability: number) => (random.chance(probability) ? [random.between(6 * minute, until)] : [])
  return {
    begin: beginningOf(random, fate),
    ...{ fate, losses, doings: doings.filter(can), doingsAtCalls: doingsAtCalls.filter(can) },
    faultRate: random.pick([0, 0, 0.005, 0.02, 0.06]),
    eventsLost: random.pick([0, 0, 1]),
    stops: random.chance(0.3) ? [atCall(random)] : [],
    restarts: random.chance(0.15) ? [atCall(random)] : [],
    outages: times(0.12).map((from) => {
      const port = random.pick<PortName>(['ledger', 'locks', 'states', 'cluster', 'events'])
      return { port, from, until: from + random.pick([30 * second, 4 * minute, 50 * minute]) }
    }),
    asks: times(0.4),
    extraScans: [...times(0.3), ...times(0.3)],
    until: Math.max(until, ...doings.map(({ at }) => at)),
  }
}

/** Things that follow one another, and that chance would seldom bring together. */
function meanwhile(random: Random, dies: number, doings: Doing[], doingsAtCalls: DoingAtCall[]): void {
  const when = atCall(random)
  switch (random.pick(['held', 'gated', 'released', 'other'])) {
    case 'held': // by a person, and let go in the middle of the unlock
      doings.push({ at: dies + random.between(20, 150) * second, act: 'a person suspends the object' })
      doingsAtCalls.push({ when, act: 'a person resumes the object' })
      return
    case 'gated': // by a rollout, which comes to it in the middle of the unlock
      doings.push({ at: dies + random.between(20, 150) * second, act: 'a rollout gates' })
      doingsAtCalls.push({ when, act: 'the gate opens' })
      return
    case 'released': // by hand, and the next run works
      doingsAtCalls.push({ when, act: 'a person removes the lock' }, { when, act: 'a run is asked for' })
      return
    case 'other': // runs when it was thought to be held
      doingsAtCalls.push({ when, act: 'the other is resumed, and runs' })
      return
  }
}

function atCall(random: Random): AtCall {
  return random.chance(0.5) ? { call: random.between(0, 260) } : { change: random.between(0, 16) }
}

/** Whether a call is the one that is meant. */
export function isAt(when: AtCall, { ofUnlock, change }: Pick<Call, 'ofUnlock' | 'change'>): boolean {
  return 'call' in when ? when.call === ofUnlock : when.change === change
}

function beginningOf(random: Random, fate: Fate): Beginning {
  const backend = fate === 'half taken' ? 'both' : random.pick<Backend>(['dynamodb', 's3', 'both', 'kubernetes'])
  const flag = () => random.pick([null, false, false, true])
  return {
    backend,
    flux: {
      deployedBy: random.pick(['helm', 'helm', 'git', 'nobody']),
      declaresReplicas: random.chance(0.6),
      declaresSuspend: random.chance(0.3),
      replicas: random.pick([1, 1, 2, 3]),
    },
    suspend: {
      [root]: random.pick([null, false, true]),
      [release]: flag(),
      [vpc]: random.pick([null, false]),
      [database]: flag(),
    },
    forceUnlock: random.pick([null, null, null, 'no', 'auto']),
    skewMs: random.pick([0, minute, 9 * minute]),
    applyMs: fate === 'slow' || fate === 'hidden' ? random.between(20, 200) * minute : random.between(60, 400) * second,
    otherApplyMs: random.pick([20 * second, 3 * minute, 12 * minute]),
  }
}

function fateOf(fate: Fate, dies: number, random: Random): Doing[] {
  switch (fate) {
    case 'loud ghost':
      return [{ at: dies, act: 'the runner dies, and is started again' }]
    case 'silent ghost':
      return [
        { at: dies, act: random.pick(['the runner dies, and its pod fails', 'the runner dies with its pod'] as const) },
      ]
    case 'lost machine':
      return [
        { at: dies, act: 'the machine of the runner dies' },
        { at: dies + random.between(1, 8) * minute, act: 'silent machines are lost' },
      ]
    case 'silent machine':
      return [
        { at: dies, act: 'the node of the runner falls silent' },
        { at: dies + random.between(1, 15) * minute, act: 'silent nodes answer again' },
      ]
    case 'hidden':
      return [
        { at: dies, act: 'the node of the runner falls silent' },
        { at: dies + random.between(1, 100) * second, act: 'the runner is deleted by force' },
        ...(random.chance(0.5) ? [{ at: dies + 200 * second, act: 'the controller is restarted' } as const] : []),
      ]
    case 'orphan':
      return [{ at: dies, act: 'the controller vanishes' }]
    case 'half taken':
    case 'slow':
    case 'in order':
      return []
  }
}
