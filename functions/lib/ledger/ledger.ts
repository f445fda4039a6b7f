import * as z from 'zod'
import type { Approval } from '../approval/approval.ts'
import { LockstepError } from '../errors.ts'
import type { Observation } from '../locks/scan/observation.ts'
import type { ScanReport } from '../locks/scan/scan-report.ts'
import type { Notice } from '../notify/notice.ts'
import type { StatusBoard } from '../notify/status-board.ts'
import type { Outcome, Rollout } from '../rollout/rollout.ts'
import type { SweepRecord } from '../sweep/sweep-record.ts'
import type { Intent } from '../unlock/hold/intent.ts'
import type { AuditRecord } from '../unlock/run/audit.ts'
import type { UnlockRun } from '../unlock/run/unlock-run.ts'
import type { TurnAsked, UnlockTurn } from './unlock-turn.ts'

/** A rollout that wants, or has, the claim on one branch of one repository in one cluster. */
export const claimantSchema = z.object({
  rollout: z.string(),
  execution: z.string(),
  before: z.string(),
  after: z.string(),
  /** Milliseconds since the epoch, GitHub's clock. */
  pushedAt: z.number(),
  /** See `pushSchema`. */
  found: z.literal(true).exactOptional(),
})
export type Claimant = z.infer<typeof claimantSchema>

/** Who may change the objects of one cluster that follow one branch. */
export const claimSchema = z.object({
  cluster: z.string(),
  /** `host/owner/name#branch` */
  branch: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  holder: claimantSchema.optional(),
  /** After this time (milliseconds since the epoch) the holder is taken for dead. It renews while it works. */
  leaseUntil: z.number(),
  /** A newer push that waits for the holder to stop at its next safe point. */
  next: claimantSchema.optional(),
  /** The newest push that ever claimed: an older one that arrives late is superseded. */
  newest: claimantSchema.optional(),
  /** A person asked the holder to let go of its gates. */
  release: z.object({ by: z.string(), at: z.number() }).optional(),
})
export type Claim = z.infer<typeof claimSchema>

/** The claim after the push that waited for it has withdrawn. */
export function withoutNext({ next: _, ...claim }: Claim): Claim {
  return { ...claim, version: claim.version + 1 }
}

/** A line of a cluster's history. */
export const rolloutSummarySchema = z.object({
  id: z.string(),
  execution: z.string(),
  cluster: z.string(),
  startedAt: z.number(),
  endedAt: z.number().optional(),
  commit: z.string().optional(),
  outcome: z.string().optional(),
})
export type RolloutSummary = z.infer<typeof rolloutSummarySchema> & { outcome?: Outcome | undefined }

export interface Versioned<T> {
  readonly value: T
  readonly version: number
}

/** One scan at a time: whose turn it is. */
export const scanTurnSchema = z.object({
  version: z.number().int(),
  execution: z.string(),
  /** After this time (milliseconds since the epoch) the scan is taken for dead. */
  leaseUntil: z.number(),
})
export type ScanTurn = z.infer<typeof scanTurnSchema>

/**
 * The ledger: claims, rollouts, observations of locks and guarded unlocks, in one DynamoDB table. Every write is one
 * conditional put, so that two writers never overwrite each other. Contract suite: test/contracts/ledger.contract.ts.
 * Every method may reject with LedgerUnavailable.
 */
export interface Ledger {
  readClaim(cluster: string, branch: string): Promise<Claim | undefined>
  /** All claims of a cluster. */
  listClaims(cluster: string): Promise<Claim[]>
  /** Writes `claim` if the stored version is `claim.version - 1` (0: none stored). False when somebody was faster. */
  writeClaim(claim: Claim): Promise<boolean>
  readRollout(id: string): Promise<Versioned<Rollout> | undefined>
  /**
   * Writes the rollout if the stored version is `expected` (0: none stored); answers the new version.
   * Rejects with RolloutMoved when another step wrote in between.
   */
  writeRollout(rollout: Rollout, expected: number): Promise<number>
  /** Newest first. */
  listRollouts(cluster: string, limit: number): Promise<RolloutSummary[]>
  /** The latest observation of a place. It is kept while somebody holds the lock, and 90 days longer. */
  readObservation(key: string): Promise<Observation | undefined>
  /** The latest observations of all places, or of those that belong to `cluster`. */
  listObservations(cluster?: string): Promise<Observation[]>
  /**
   * Writes `observation` if the stored version is `observation.version - 1` (0: none stored). False when somebody was
   * faster. The last one of each verdict and rule is also kept in the place's history, for 30 days.
   */
  writeObservation(observation: Observation): Promise<boolean>
  /** Of one place, newest first: the last observation of each verdict and rule. */
  listObservationHistory(key: string, limit: number): Promise<Observation[]>
  /**
   * Takes the turn to scan a cluster, or what belongs to no cluster, until `leaseUntil`. False while another execution
   * has it. The same execution gets it again.
   */
  takeScan(cluster: string | undefined, execution: string, leaseUntil: number): Promise<boolean>
  /** Keeps the report, and ends the turn of its execution. A turn that somebody else has by now is left alone. */
  endScan(report: ScanReport): Promise<void>
  /** The report of the latest scan that ended. Never expires. */
  readScan(cluster: string | undefined): Promise<ScanReport | undefined>
  /** What the sweeps of a cluster know. Never expires. */
  readSweep(cluster: string): Promise<SweepRecord | undefined>
  /** Writes `record` if the stored version is `record.version - 1` (0: none stored). False when another sweep was faster. */
  writeSweep(record: SweepRecord): Promise<boolean>
  /**
   * Takes the turn to unlock in a cluster until `leaseUntil`. True again for the unlock that has it. False while another
   * one has it, or has left something that is not put back yet; and for one that has ended, or restores.
   */
  takeUnlock(asked: TurnAsked): Promise<boolean>
  /**
   * Renews the turn of the unlock that has it, before it goes on `to` change something, or to put it back. False where it
   * does not have it any more; and where it is being put back, and wants to change more.
   */
  renewUnlock(asked: TurnAsked, to: 'change' | 'restore'): Promise<boolean>
  readUnlock(cluster: string): Promise<UnlockTurn | undefined>
  /** Writes down what an unlock will change. True again for the same intent; false for another, or without the turn. */
  writeIntent(intent: Intent): Promise<boolean>
  /** From now on the unlock does not get its turn any more. False where it has no intent, or not the turn. */
  beginRestore(cluster: string, unlock: string): Promise<boolean>
  /**
   * Everything is put back. The unlock keeps its turn, unless others had to put things back. True again when that was
   * done already; false when it is not the turn of that unlock.
   */
  closeIntent(cluster: string, unlock: string): Promise<boolean>
  /** Gives the turn back. False while an intent is open, or when it is not the turn of that unlock. */
  endUnlock(cluster: string, unlock: string): Promise<boolean>
  readUnlockRun(unlock: string): Promise<Versioned<UnlockRun> | undefined>
  /**
   * Writes the run if the stored version is `expected` (0: none stored); answers the new version. Kept for 90 days.
   * Rejects with UnlockMoved when another step wrote in between.
   */
  writeUnlockRun(run: UnlockRun, expected: number): Promise<number>
  /** The unlocks of a cluster, newest first. */
  listUnlockRuns(cluster: string, limit: number): Promise<UnlockRun[]>
  /** What people are, or were, asked. Kept for 30 days after it is closed. */
  readApproval(id: string): Promise<Approval | undefined>
  /** Writes `approval` if the stored version is `approval.version - 1` (0: none stored). False when somebody was faster. */
  writeApproval(approval: Approval): Promise<boolean>
  /** Approvals that are not closed; or all that are kept. */
  listApprovals(those: 'open' | 'all'): Promise<Approval[]>
  /**
   * Appends a record, for good. False, and nothing is written, where the unlock has one with this id. Records never expire.
   */
  appendAudit(record: AuditRecord): Promise<boolean>
  /** All records of an unlock, oldest first. */
  listAudit(unlock: string): Promise<AuditRecord[]>
  /** Whether an event was told on a channel. Kept for 30 days. */
  readNotice(event: string, channel: string): Promise<Notice | undefined>
  /** Writes `notice` if the stored version is `notice.version - 1` (0: none stored). False when somebody was faster. */
  writeNotice(notice: Notice): Promise<boolean>
  /** Statuses of the layers of a cluster, or with an empty name of a push as a whole. Kept for 90 days. */
  readStatusBoard(delivery: string, cluster: string): Promise<StatusBoard | undefined>
  /** Writes `board` if the stored version is `board.version - 1` (0: none stored). False when somebody was faster. */
  writeStatusBoard(board: StatusBoard): Promise<boolean>
}

/** The table did not answer, or throttled: it can pass. */
export class LedgerUnavailable extends LockstepError {
  constructor(operation: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.name : 'unknown error'
    super('LedgerUnavailable', `The ledger did not answer ${operation} (${reason}).`, 'It is tried again.', { cause })
  }
}

/** Two steps of one rollout wrote at the same time: one of them is a leftover of an earlier try. */
export class RolloutMoved extends LockstepError {
  constructor(id: string) {
    super('RolloutMoved', `Rollout ${id} was changed by another step meanwhile.`, 'The step is tried again.')
  }
}

/** Two steps of one unlock wrote at the same time: one of them is a leftover of an earlier try. */
export class UnlockMoved extends LockstepError {
  constructor(unlock: string) {
    super('UnlockMoved', `Unlock ${unlock} was changed by another step meanwhile.`, 'The step is tried again.')
  }
}

/** A record that cannot be read back: written by another version, or damaged. */
export class LedgerUnreadable extends LockstepError {
  constructor(what: string, cause: unknown) {
    const next = 'Another version of Lockstep wrote it: a rollout is started again, the item of a lock is deleted.'
    super('LedgerUnreadable', `The ledger's record of ${what} cannot be read.`, next, { cause })
  }
}
