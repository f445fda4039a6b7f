import { describe, expect, test } from 'vitest'
import type { Rung } from '../../../functions/lib/unlock/plan/rung.ts'
import { chaosRun, type RunReport } from '../../chaos/chaos-run.ts'
import { type Call, type Fault, noFault } from '../../chaos/lockstep/fault.ts'
import { rungScenario } from '../../chaos/rung-scenario.ts'
import type { Scenario } from '../../chaos/scenario.ts'
import type { Act } from '../../chaos/world/world.ts'

const seed = 1

/** What goes wrong at a call that changes nothing: what is read, and is not, is the same wherever that is noticed. */
const readFaults: readonly Fault[] = [{ kind: 'dies before' }, { kind: 'fails' }]
const writeFaults: readonly Fault[] = [
  ...([{ kind: 'dies before' }, { kind: 'dies after' }, { kind: 'hangs before' }, { kind: 'hangs after' }] as const),
  ...([{ kind: 'fails' }, { kind: 'answer lost' }] as const),
  ...([
    { kind: 'late effect', ms: 3_000 },
    { kind: 'late effect', ms: 58_000 },
  ] as const),
  ...([{ kind: 'forsaken', ms: 20_000 }] as const),
]

/** What somebody else does between two calls. */
const others: readonly (readonly Act[])[] = [
  ['a person scales'],
  ['a person suspends'],
  ['a person there and back'],
  ['Git is applied'],
  ['the chart is applied'],
  // The lock is another one, and its holder is alive.
  ['a person removes the lock', 'a person takes the lock'],
  ['the controller is restarted'],
  ['a person removes the annotation'],
  ['the object is made again'],
]

/** Everything that can go wrong, or happen, at every call of an unlock by this rung, one thing at a time. */
export function everyCall(rung: Rung): void {
  const scenario = rungScenario(rung)
  const play = (over: Partial<Scenario>, at?: (call: Call) => Fault): Promise<RunReport> =>
    chaosRun({ seed, scenario: { ...scenario, ...over }, faults: { at: at ?? (() => noFault) } })

  describe(`an unlock that is ${rung}`, { timeout: 1_800_000 }, () => {
    test('unlocks when nothing goes wrong', async () => {
      const { wrongs, ways } = await play({})
      expect(wrongs).toEqual([])
      expect(ways).toEqual([{ rung, outcome: 'unlocked' }])
    })

    test('at each call: it dies, hangs, fails, or its effect comes late', async () => {
      const wrong: unknown[] = []
      for (const { ofUnlock, ...call } of await calls(play)) {
        for (const fault of call.writes ? writeFaults : readFaults) {
          const { wrongs } = await play({}, (each) => (each.ofUnlock === ofUnlock ? fault : noFault))
          if (wrongs.length > 0) wrong.push({ ofUnlock, ...call, fault, wrongs })
        }
      }
      expect(wrong).toEqual([])
    })

    test('at each call: its execution is stopped, with or without a word, or its host is killed', async () => {
      const wrong: unknown[] = []
      for (const { ofUnlock = 0, ...call } of await calls(play)) {
        const when = [{ call: ofUnlock }]
        const ends = [{ stops: when }, { stops: when, eventsLost: 1 }, { restarts: when }]
        for (const end of call.writes ? ends : ends.slice(1, 2)) {
          const { wrongs } = await play(end)
          if (wrongs.length > 0) wrong.push({ ...call, ...end, wrongs })
        }
      }
      expect(wrong).toEqual([])
    })

    test('before each change, and after it, somebody else acts', async () => {
      const wrong: unknown[] = []
      for (const { ofUnlock = 0, ...call } of (await calls(play)).filter(isChange)) {
        for (const acts of others) {
          for (const before of [ofUnlock, ofUnlock + 1]) {
            const doingsAtCalls = acts.map((act) => ({ when: { call: before }, act }))
            const { wrongs } = await play({ doingsAtCalls })
            if (wrongs.length > 0) wrong.push({ before, ...call, acts, wrongs })
          }
        }
      }
      expect(wrong).toEqual([])
    })
  })
}

/** The calls of an unlock, but for the later ones of many that are alike: it waits, and looks again and again. */
async function calls(play: (over: object, at: (call: Call) => Fault) => Promise<unknown>): Promise<Call[]> {
  const kept: Call[] = []
  const seen = new Map<string, number>()
  await play({}, (call) => {
    if (call.ofUnlock === undefined) return noFault
    const like = `${call.by} ${call.port}.${call.method}`
    const count = (seen.get(like) ?? 0) + 1
    seen.set(like, count)
    if (call.writes || count <= mostAlike) kept.push(call)
    return noFault
  })
  return kept
}

const mostAlike = 2

function isChange({ change, port, method }: Call): boolean {
  return (
    change !== undefined ||
    (port === 'ledger' && ['takeUnlock', 'writeIntent', 'beginRestore', 'closeIntent'].includes(method))
  )
}
