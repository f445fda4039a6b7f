import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isUnannounced, lockEventId } from '../../../functions/lib/locks/scan/announce.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { item, minute, record, runnerPod, ScannedFleet, s3Object, start } from './scanned-fleet.ts'

/** What happens between two rounds of scans. */
type Happening = 'nothing' | 'dies' | 'lives' | 'released' | 'taken anew' | 'denied'

const happening = fc.constantFrom<Happening>('nothing', 'nothing', 'dies', 'lives', 'released', 'taken anew', 'denied')

const round = fc.record({
  happens: happening,
  minutes: fc.integer({ min: 1, max: 9 }),
  /** Scans at the same time, as if the turn had been lost. */
  scans: fc.integer({ min: 1, max: 3 }),
  /** How long each answer takes, in turns of the event loop; one after the other, over and over. */
  pauses: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 7 }),
  /** Which of the calls to the ledger and to the bus fail; a write may have been done all the same. */
  failures: fc.array(fc.constantFrom('no', 'no', 'no', 'before', 'after'), { minLength: 1, maxLength: 9 }),
})

/** A fleet with one lock, whose calls take their time and fail. */
class TroubledFleet extends ScannedFleet {
  readonly written: Observation[] = []
  private pauses: number[] = [0]
  private failures: string[] = ['no']
  private call = 0
  private ids = 0

  constructor() {
    super()
    this.staging.put(s3Object('vpc'))
    const { writeObservation } = this.ledger
    this.ledger.writeObservation = (observation) =>
      this.troubled(async () => {
        const isWritten = await writeObservation.call(this.ledger, observation)
        if (isWritten) this.written.push(observation)
        return isWritten
      })
    const { publish } = this.events
    this.events.publish = (event) => this.troubled(() => publish.call(this.events, event))
    const { read } = this.table
    this.table.read = async (address) => {
      await this.pause()
      return read.call(this.table, address)
    }
    const { get } = this.staging
    this.staging.get = async (ref) => {
      await this.pause()
      return get.call(this.staging, ref)
    }
  }

  trouble(pauses: number[], failures: string[]): void {
    this.pauses = pauses
    this.failures = failures
  }

  happen(what: Happening): void {
    this.table.denied = what === 'denied'
    if (what === 'dies') this.staging.remove(runnerPod('vpc', start))
    if (what === 'lives') this.staging.put(runnerPod('vpc', start - minute))
    if (what === 'released') this.table.release(item('vpc.tfstate'))
    if (what === 'taken anew') {
      this.table.take(item('vpc.tfstate'), record(`lock-${++this.ids}`, 'runner@vpc-tf-runner', this.now))
    }
  }

  private async troubled<T>(work: () => Promise<T>): Promise<T> {
    const failure = this.failures[this.call++ % this.failures.length]
    await this.pause()
    if (failure === 'before') throw new Error('it broke')
    const done = await work()
    if (failure === 'after') throw new Error('its answer was lost')
    return done
  }

  private async pause(): Promise<void> {
    const turns = this.pauses[this.call % this.pauses.length] ?? 0
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
  }
}

test('no verdict is lost, whatever overlaps, breaks off or is told twice', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 12 }), async (rounds) => {
      const fleet = new TroubledFleet()
      await fleet.scan('production')
      fleet.happen('taken anew')
      for (const { happens, minutes, scans, pauses, failures } of rounds) {
        fleet.now += minutes * minute
        fleet.happen(happens)
        fleet.trouble(pauses, failures)
        // One execution gets its turn as often as it asks.
        await Promise.all(Array.from({ length: scans }, () => fleet.scan('staging', `at ${fleet.now}`)))
        fleet.now += 7 * minute
      }
      fleet.trouble([0], ['no'])
      await fleet.scan('staging')

      const versions = fleet.written.map(({ version }) => version)
      expect(versions).toEqual(versions.map((_, index) => index + 1))
      const told = new Set(fleet.events.published.map(({ id }) => id))
      for (const observation of fleet.written) {
        if (isUnannounced(observation)) expect(told).toContain(lockEventId(observation))
      }
      const last = fleet.written.at(-1)
      if (last) expect(isUnannounced(last)).toBe(false)
    }),
    { numRuns: 150 },
  )
})
