import type { ChaosClock } from '../chaos-clock.ts'

/** One version of the state. */
export interface StateVersion {
  readonly version: string
  readonly serial: number
  readonly lineage: string
  readonly at: number
  /** The lock of whoever wrote it. */
  readonly by: string
}

/** The state, with all of its versions. */
export class State {
  readonly versions: StateVersion[] = []
  private readonly clock: ChaosClock

  constructor(clock: ChaosClock) {
    this.clock = clock
    this.write('before')
  }

  write(by: string): void {
    const serial = this.versions.length + 1
    this.versions.push({ version: `v${serial}`, serial, lineage: 'lineage', at: this.clock.now(), by })
  }

  get newest(): StateVersion {
    const newest = this.versions.at(-1)
    if (!newest) throw new RangeError('there is always one')
    return newest
  }
}
