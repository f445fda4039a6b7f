import type { Clock } from '../../../functions/lib/clock.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import type { AuditRecord } from '../../../functions/lib/unlock/run/audit.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import type { Truth } from '../truth.ts'
import type { Double } from './double.ts'

export interface ChaosLedgerOptions {
  readonly truth: Truth
  readonly double?: Double | undefined
  readonly trace?: ((line: string) => void) | undefined
}

/** The ledger, which tells the truth what is in it. */
export class ChaosLedger extends MemoryLedger {
  private readonly truth: Truth
  private readonly double: Double | undefined
  private readonly trace: ChaosLedgerOptions['trace']

  constructor(clock: Clock, { truth, double, trace }: ChaosLedgerOptions) {
    super(clock)
    this.truth = truth
    this.double = double
    this.trace = trace
  }

  override async writeObservation(observation: Observation): Promise<boolean> {
    const { judgement, evidence } = observation
    this.trace?.(
      `    ${judgement.verdict} (${judgement.rule}): ${evidence.lock.record?.id}, ${judgement.reasons.join('; ')}`,
    )
    return super.writeObservation(observation)
  }

  override async appendAudit(record: AuditRecord): Promise<boolean> {
    this.truth.audit(record.unlock, record.id)
    return super.appendAudit(record)
  }

  override async writeUnlockRun(run: UnlockRun, expected: number): Promise<number> {
    const written = await super.writeUnlockRun(run, expected)
    if (run.backup) this.truth.backUp(run.unlock)
    return written
  }

  override async renewUnlock(...asked: Parameters<MemoryLedger['renewUnlock']>): Promise<boolean> {
    return (await super.renewUnlock(...asked)) || this.double === 'turn-never-lost'
  }

  override async readObservation(key: string): Promise<Observation | undefined> {
    const observation = await super.readObservation(key)
    return observation && this.asJudged(observation)
  }

  override async listObservations(cluster?: string): Promise<Observation[]> {
    return (await super.listObservations(cluster)).map((observation) => this.asJudged(observation))
  }

  private asJudged(observation: Observation): Observation {
    if (this.double !== 'always-stale' || observation.evidence.lock.parts.length === 0) return observation
    return { ...observation, judgement: { ...observation.judgement, verdict: 'stale', rule: 'holder-dead' } }
  }
}
