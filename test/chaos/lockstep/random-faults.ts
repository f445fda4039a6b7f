import type { Random } from '../random.ts'
import { type Call, type Fault, type Faults, faultKinds, noFault } from './fault.ts'

/** Calls that go wrong by chance. */
export class RandomFaults implements Faults {
  private readonly random: Random
  private readonly rate: number

  /** `rate`: how many of the calls, from 0 to 1. */
  constructor(random: Random, rate: number) {
    this.random = random
    this.rate = rate
  }

  at({ port }: Call): Fault {
    const { random, rate } = this
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
