import { judgeCluster } from '../../functions/judge/judge.ts'
import { type Clock, systemClock } from '../../functions/lib/clock.ts'
import { type Fleet, parseFleet } from '../../functions/lib/fleet.ts'
import { type ObjectRef, refKey } from '../../functions/lib/kubernetes/cluster.ts'
import type { Observation } from '../../functions/lib/locks/scan/observation.ts'
import type { Verdict } from '../../functions/lib/locks/verdict/verdict.ts'
import { silentLog } from '../../functions/lib/log.ts'
import { silentMetrics } from '../../functions/lib/metrics.ts'
import { clusterOf } from '../../functions/lib/rollout/rollout-step.ts'
import type { LockPorts } from '../../functions/lib/step.ts'
import { noLocks } from '../../infra/local/host.ts'
import { MemoryLedger } from '../fixtures/memory-ledger.ts'
import { MemoryEvents, MemoryStates } from '../fixtures/memory-locks.ts'
import type { TofuDriver } from './tofu-driver.ts'

/** Far shorter than a fleet may have them: what is about time is shown in little of it. */
const minimumAgeMs = 4_000
/** Scans on a busy machine are seconds apart, and still within it. */
const quietWindowMs = 6_000

const usual = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
})
const minimumAge = { plan: minimumAgeMs, apply: minimumAgeMs }
const fleet: Fleet = { ...usual, locks: { ...usual.locks, minimumAge, quietWindow: quietWindowMs } }

/** Lockstep's scans of a driver's cluster, and what they have found. */
export class LockWatch {
  private readonly events = new MemoryEvents()
  private readonly driver: TofuDriver
  private readonly ports: LockPorts
  private scans = 0

  constructor(driver: TofuDriver) {
    this.driver = driver
    const clock: Clock = { ...systemClock, now: () => driver.now() }
    this.ports = {
      ...{ fleet, clock, ledger: new MemoryLedger(), log: silentLog, sliceMs: 60_000, events: this.events },
      clusters: { connect: async () => driver.lockstep },
      locks: { stores: [], keeper: noLocks.keeper, states: new MemoryStates() },
      metrics: silentMetrics,
    }
  }

  /** Scans, and answers what is known of the lock of an object: undefined where nobody ever held it. */
  async scan(ref: ObjectRef): Promise<Observation | undefined> {
    const { ledger } = this.ports
    const scanned = this.driver.activity.begin()
    await judgeCluster(clusterOf(fleet, 'staging'), `scan-${++this.scans}`, this.ports)
    scanned()
    const observations = await ledger.listObservations()
    return observations.find(({ evidence }) => evidence.owner?.object === refKey(ref))
  }

  /** The verdicts that were published on the lock of an object. */
  told(ref: ObjectRef): Verdict[] {
    return this.events.published.filter(({ object }) => object === refKey(ref)).map(({ verdict }) => verdict)
  }

  /** Scans every second for as long as a verdict takes that is certain, and longer; answers all observations. */
  async overTime(ref: ObjectRef): Promise<(Observation | undefined)[]> {
    const seen: (Observation | undefined)[] = []
    for (let count = 0; count < (minimumAgeMs + 2 * quietWindowMs) / 1_000; count++) {
      seen.push(await this.scan(ref))
      await this.driver.wait(1_000)
    }
    return seen
  }

  /** Scans until the verdict is that one. Rejects after two minutes, with the last observation. */
  async until(ref: ObjectRef, verdict: Verdict): Promise<Observation> {
    for (const deadline = this.driver.now() + 120_000; ; ) {
      const observation = await this.scan(ref)
      if (observation?.judgement.verdict === verdict) return observation
      if (this.driver.now() > deadline) throw new Error(`not ${verdict}: ${JSON.stringify(observation)}`)
      await this.driver.wait(500)
    }
  }
}
