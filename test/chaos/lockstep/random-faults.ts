import type { Random } from '../random.ts'
import { isAt, type Scenario } from '../scenario.ts'
import { type Call, type Fault, type Faults, faultKinds, noFault } from './fault.ts'

type Troubles = Pick<Scenario, 'faultRate' | 'stops' | 'outages'>

/** Calls that go wrong by chance. */
export class RandomFaults implements Faults {
  private readonly random: Random
  private readonly scenario: Troubles
  private readonly start: number

  /** `start`: of the run, in milliseconds since the epoch. */
  constructor(random: Random, scenario: Troubles, start: number) {
    this.random = random
    this.scenario = scenario
    this.start = start
  }

  at(call: Call): Fault {
    const { random } = this
    const { faultRate, stops, outages } = this.scenario
    const after = call.at - this.start
    const isOut = outages.some(({ port, from, until }) => port === call.port && from <= after && after < until)
    if (isOut) return { kind: 'fails' }
    // What was asked for just before may arrive when everything is put back already.
    const isStopped = call.change !== undefined && stops.some((stop) => isAt(stop, call))
    if (isStopped && random.chance(0.5)) return { kind: 'late effect', ms: random.between(1, 60_000) }
    const { port, ofUnlock } = call
    const rate = ofUnlock === undefined ? faultRate / 5 : faultRate
    if (rate === 0 || !random.chance(rate)) return noFault
    const kind = random.pick(faultKinds)
    switch (kind) {
      case 'late effect':
        // An API server works on a request for a minute at most; the stores' clients give up sooner.
        return { kind, ms: random.between(1, port === 'cluster' ? 60_000 : 10_000) }
      case 'forsaken':
      case 'slow':
        return { kind, ms: random.pick([100, 3_000, 20_000, 50_000]) }
      default:
        return { kind }
    }
  }
}
