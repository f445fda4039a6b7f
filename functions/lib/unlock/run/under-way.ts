import * as z from 'zod'
import type { Cluster } from '../../kubernetes/cluster.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { StateEvidence } from '../../locks/evidence.ts'
import { SecretStateReader } from '../../locks/states/secret-state-reader.ts'
import type { StateReader } from '../../locks/states/state-reader.ts'
import type { LockPorts } from '../../step.ts'
import type { Intent } from '../hold/intent.ts'
import type { AuditRecord } from './audit.ts'
import type { UnlockRun } from './unlock-run.ts'
import { UnlockStopped } from './unlock-stopped.ts'

/** What every step of a guarded unlock is told: the execution's name. The rest is in the ledger. */
export const unlockIdSchema = z.object({ unlock: z.string().min(1) })

export type UnderWayPorts = Pick<LockPorts, 'clock' | 'ledger' | 'clusters'>

/**
 * How long an unlock may be silent before it is taken for dead, in milliseconds: longer than any of its steps, and than
 * the time between two of them.
 */
export const turnMs = 30 * 60_000

/** In the audit: who does what the steps of the unlock do. */
const by = 'guarded-unlock'

/** A guarded unlock as one of its steps has it: its run in the ledger, its turn in the cluster, and its audit. */
export class UnderWay {
  private readonly ports: UnderWayPorts
  private kept: UnlockRun
  private version: number
  private connected: Cluster | undefined

  private constructor(ports: UnderWayPorts, run: UnlockRun, version: number) {
    this.ports = ports
    this.kept = run
    this.version = version
  }

  /** Of an unlock that has been asked for. Throws TypeError where there is none. */
  static async read(unlock: string, ports: UnderWayPorts): Promise<UnderWay> {
    const stored = await ports.ledger.readUnlockRun(unlock)
    if (!stored) throw new TypeError(`There is no unlock ${unlock} in the ledger.`)
    return new UnderWay(ports, stored.value, stored.version)
  }

  /** The one that is stored, or else this new one, which is stored. */
  static async open(run: UnlockRun, ports: UnderWayPorts): Promise<UnderWay> {
    const stored = await ports.ledger.readUnlockRun(run.unlock)
    if (stored) return new UnderWay(ports, stored.value, stored.version)
    return new UnderWay(ports, run, await ports.ledger.writeUnlockRun(run, 0))
  }

  get run(): UnlockRun {
    return this.kept
  }

  /** The cluster that it is in. */
  async cluster(): Promise<Cluster> {
    this.connected ??= await this.ports.clusters.connect(this.kept.cluster)
    return this.connected
  }

  /** Throws UnlockMoved where an earlier try of the step writes as well. */
  async note(news: Partial<UnlockRun>): Promise<void> {
    const run = { ...this.kept, ...news }
    this.version = await this.ports.ledger.writeUnlockRun(run, this.version)
    this.kept = run
  }

  /**
   * Says in the audit what is about to be done. False where an earlier try of the step has said so: it may have been done
   * as well. `id` is unique within the unlock.
   */
  record(id: string, what: string, detail: AuditRecord['detail'] = {}): Promise<boolean> {
    const { ledger, clock } = this.ports
    return ledger.appendAudit({ unlock: this.kept.unlock, id, at: clock.now(), what, by, detail })
  }

  /** False while another unlock has the cluster's turn. */
  takeTurn(): ReturnType<Ledger['takeUnlock']> {
    return this.ports.ledger.takeUnlock(this.turn())
  }

  /** While it is put back, and looked at: nobody else has to do that. */
  async keepTurn(): Promise<void> {
    await this.ports.ledger.renewUnlock(this.turn(), 'restore')
  }

  /** To be called before every change. Throws TurnLost once it is restored, or has ended: nothing more may be changed. */
  async renewTurn(): Promise<void> {
    if (await this.ports.ledger.renewUnlock(this.turn(), 'change')) return
    const { unlock, cluster } = this.kept
    throw new UnlockStopped(
      'TurnLost',
      `Unlock ${unlock} has lost its turn in ${cluster}: what it had changed is put back.`,
      'Ask for the unlock again.',
    )
  }

  /** What is written down that will be changed, or was: the turn's word counts, and without one the run's. */
  async intent(): Promise<Intent | undefined> {
    const turn = await this.ports.ledger.readUnlock(this.kept.cluster)
    return (turn?.unlock === this.kept.unlock ? turn.intent : undefined) ?? this.kept.intent
  }

  private turn() {
    const { unlock, cluster } = this.kept
    return { cluster, unlock, leaseUntil: this.ports.clock.now() + turnMs }
  }

  /** The state, as it is now. Throws TypeError before the unlock has begun, LockStoreError. */
  async state(s3: StateReader): Promise<StateEvidence> {
    const { where, unlock } = this.kept
    if (!where) throw new TypeError(`Unlock ${unlock} was not begun.`)
    const { state } = where
    return state.store === 's3' ? s3.read(state) : new SecretStateReader(await this.cluster()).read(state)
  }

  /** Since when something is waited for; from now on where it was not yet. */
  async waitingSince(what: string): Promise<number> {
    const { waiting } = this.kept
    if (waiting?.for === what) return waiting.since
    const since = this.ports.clock.now()
    await this.note({ waiting: { for: what, since } })
    return since
  }
}
