import { randomUUID } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { ConditionalCheckFailedException, DuplicateItemException } from '@aws-sdk/client-dynamodb'
import {
  type DynamoDBDocumentClient,
  ExecuteStatementCommand,
  GetCommand,
  PutCommand,
  QueryCommand,
} from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { type Approval, approvalSchema } from '../approval/approval.ts'
import type { Clock } from '../clock.ts'
import { type Observation, observationSchema } from '../locks/scan/observation.ts'
import { type ScanReport, scanReportSchema } from '../locks/scan/scan-report.ts'
import { type Notice, noticeSchema } from '../notify/notice.ts'
import { type StatusBoard, statusBoardSchema } from '../notify/status-board.ts'
import { type Rollout, rolloutSchema } from '../rollout/rollout.ts'
import { type SweepRecord, sweepRecordSchema } from '../sweep/sweep-record.ts'
import type { Intent } from '../unlock/hold/intent.ts'
import { type AuditRecord, auditRecordSchema, inOrder } from '../unlock/run/audit.ts'
import { type UnlockRun, unlockRunSchema } from '../unlock/run/unlock-run.ts'
import {
  type Claim,
  claimSchema,
  type Ledger,
  LedgerUnavailable,
  LedgerUnreadable,
  RolloutMoved,
  type RolloutSummary,
  rolloutSummarySchema,
  type ScanTurn,
  scanTurnSchema,
  UnlockMoved,
  type Versioned,
} from './ledger.ts'
import {
  closing,
  ending,
  intending,
  renewing,
  restoringOf,
  type TurnAsked,
  type TurnMove,
  taking,
  type UnlockTurn,
  unlockTurnSchema,
} from './unlock-turn.ts'

/** An item holds at most 400 KB (DynamoDB, "Item size"); the rest is room for keys and the other attributes. */
const chunkBytes = 350_000

/** Records of ended rollouts are of no use after this; claims never expire. */
const keptForMs = 90 * 86_400_000

/** What was thought of a lock at some time, and what people decided. The latest observation is kept longer. */
const historyKeptForMs = 30 * 86_400_000

const headSchema = z.looseObject({
  version: z.number(),
  chunks: z.number(),
  set: z.string(),
  inline: z.instanceof(Uint8Array).optional(),
})
const sweepItemSchema = z.looseObject({ inline: z.instanceof(Uint8Array) })
const versionedRunSchema = z.looseObject({ version: z.number(), value: unlockRunSchema })
const chunkSchema = z.looseObject({ data: z.instanceof(Uint8Array) })

export interface DynamoDbLedgerOptions {
  readonly client: DynamoDBDocumentClient
  readonly table: string
  /** Another table, with the same keys. */
  readonly auditTable: string
  readonly clock: Clock
}

/**
 * The ledger on DynamoDB. Items of one table (string keys `pk` and `sk`, TTL attribute `expiresAt` in seconds):
 * - `cluster#<name>` / `claim#<branch>`: a claim.
 * - `cluster#<name>` / `rollout#<start>#<id>`: a line of the cluster's history.
 * - `rollout#<id>` / `head`: version and, gzipped, the rollout; one that is too large for an item is cut into
 *   `rollout#<id>` / `chunk#<set>#<n>`, written before the head that names their set: a set is never written twice, so
 *   that a writer who loses the race for the head damages nothing.
 * - `locks` / `place#<key>`: the latest observation of a place of a lock. A fleet has some hundreds.
 * - `place#<key>` / `since#<time>#<rule>`: the last observation of each verdict and rule.
 * - `scan#<cluster>` / `turn` and `report`: one scan at a time, and what the latest one found. `scan#` for what belongs
 *   to no cluster.
 * - `cluster#<name>` / `sweep`: version and, gzipped, what the sweeps know.
 * - `cluster#<name>` / `unlock`: one guarded unlock at a time, with its intent.
 * - `unlock#<id>` / `run`: a guarded unlock, and `cluster#<name>` / `unlock-run#<start>#<id>`: the same for the history.
 * - `approvals` / `approval#<id>`: what people are asked about. It is together, as scans look for the open ones.
 * - `notice#<event>` / `<channel>`: what people were told.
 * - `push#<delivery>` / `statuses#<cluster>`: statuses at GitHub; `statuses#` for those of the push as a whole.
 *
 * And in a table of its own, into which IAM lets items be inserted and nothing else be done:
 * - `unlock#<id>` / `audit#<record>`: what happened in a guarded unlock, in `record`. Written once, never expires.
 */
export class DynamoDbLedger implements Ledger {
  private readonly client: DynamoDBDocumentClient
  private readonly table: string
  private readonly auditTable: string
  private readonly clock: Clock

  constructor({ client, table, auditTable, clock }: DynamoDbLedgerOptions) {
    this.client = client
    this.table = table
    this.auditTable = auditTable
    this.clock = clock
  }

  async readClaim(cluster: string, branch: string): Promise<Claim | undefined> {
    const item = await this.get(`cluster#${cluster}`, `claim#${branch}`)
    return item && parse(claimSchema, item, `the claim on ${branch} in ${cluster}`)
  }

  async listClaims(cluster: string): Promise<Claim[]> {
    const items = await this.query(`cluster#${cluster}`, 'claim#', {})
    return items.map((item) => parse(claimSchema, item, `a claim in ${cluster}`))
  }

  async writeClaim(claim: Claim): Promise<boolean> {
    return this.put({ pk: `cluster#${claim.cluster}`, sk: `claim#${claim.branch}`, ...claim }, claim.version - 1)
  }

  async readRollout(id: string): Promise<Versioned<Rollout> | undefined> {
    const item = await this.get(`rollout#${id}`, 'head')
    if (!item) return undefined
    const head = parse(headSchema, item, `rollout ${id}`)
    const data = head.inline ?? (await this.readChunks(id, head.set, head.chunks))
    const text = gunzipSync(data).toString('utf8')
    return { value: parse(rolloutSchema, JSON.parse(text), `rollout ${id}`), version: head.version }
  }

  async writeRollout(rollout: Rollout, expected: number): Promise<number> {
    const version = expected + 1
    const data = gzipSync(JSON.stringify(rollout))
    const expiresAt = Math.floor((this.clock.now() + keptForMs) / 1000)
    const chunks = data.length <= chunkBytes ? 0 : Math.ceil(data.length / chunkBytes)
    const set = randomUUID()
    for (let index = 0; index < chunks; index++) {
      await this.put({
        pk: `rollout#${rollout.id}`,
        sk: chunkKey(set, index),
        data: data.subarray(index * chunkBytes, (index + 1) * chunkBytes),
        expiresAt,
      })
    }
    const head = { pk: `rollout#${rollout.id}`, sk: 'head', version, chunks, set, expiresAt }
    const written = await this.put(chunks === 0 ? { ...head, inline: data } : head, expected)
    if (!written) throw new RolloutMoved(rollout.id)
    if (expected === 0 || rollout.endedAt !== undefined) await this.writeSummary(rollout, expiresAt)
    return version
  }

  async listRollouts(cluster: string, limit: number): Promise<RolloutSummary[]> {
    const items = await this.query(`cluster#${cluster}`, 'rollout#', { ScanIndexForward: false, Limit: limit })
    return items.map((item) => parse(rolloutSummarySchema, item, `the history of ${cluster}`) as RolloutSummary)
  }

  async readObservation(key: string): Promise<Observation | undefined> {
    const item = await this.get('locks', `place#${key}`)
    return item && parse(observationSchema, item, `the lock at place ${key}`)
  }

  async listObservations(cluster?: string): Promise<Observation[]> {
    const items = await this.query('locks', 'place#', {})
    const observations = items.map((item) => parse(observationSchema, item, 'a lock'))
    return cluster === undefined ? observations : observations.filter((each) => each.cluster === cluster)
  }

  async writeObservation(observation: Observation): Promise<boolean> {
    const { key, version, verdictSince, judgement } = observation
    const isFree = judgement.verdict === 'free'
    const latest = { pk: 'locks', sk: `place#${key}`, ...observation }
    const written = await this.put({ ...latest, ...(isFree && this.expiry(keptForMs)) }, version - 1)
    if (!written) return false
    const since = `since#${new Date(verdictSince).toISOString()}#${judgement.rule}`
    await this.put({ pk: `place#${key}`, sk: since, ...observation, ...this.expiry(historyKeptForMs) })
    return true
  }

  async listObservationHistory(key: string, limit: number): Promise<Observation[]> {
    const items = await this.query(`place#${key}`, 'since#', {})
    const observations = items.map((item) => parse(observationSchema, item, `the lock at place ${key}`))
    return observations.sort((a, b) => b.evidence.at - a.evidence.at).slice(0, limit)
  }

  async takeScan(cluster: string | undefined, execution: string, leaseUntil: number): Promise<boolean> {
    const turn = await this.scanTurn(cluster)
    if (turn && turn.execution !== execution && turn.leaseUntil > this.clock.now()) return false
    return this.putTurn(cluster, { version: (turn?.version ?? 0) + 1, execution, leaseUntil })
  }

  async endScan(report: ScanReport): Promise<void> {
    const turn = await this.scanTurn(report.cluster)
    // Late: the next scan is at it, and its report is the newer one.
    if (turn?.execution !== report.execution) return
    await this.put({ pk: scanKey(report.cluster), sk: 'report', ...report })
    await this.putTurn(report.cluster, { ...turn, version: turn.version + 1, leaseUntil: 0 })
  }

  async readScan(cluster: string | undefined): Promise<ScanReport | undefined> {
    const item = await this.get(scanKey(cluster), 'report')
    return item && parse(scanReportSchema, item, `the scan of ${cluster ?? 'the locks of no cluster'}`)
  }

  async readSweep(cluster: string): Promise<SweepRecord | undefined> {
    const item = await this.get(`cluster#${cluster}`, 'sweep')
    if (!item) return undefined
    const { inline } = parse(sweepItemSchema, item, `the sweep of ${cluster}`)
    return parse(sweepRecordSchema, JSON.parse(gunzipSync(inline).toString('utf8')), `the sweep of ${cluster}`)
  }

  async writeSweep(record: SweepRecord): Promise<boolean> {
    const { cluster, version } = record
    const inline = gzipSync(JSON.stringify(record))
    return this.put({ pk: `cluster#${cluster}`, sk: 'sweep', version, inline }, version - 1)
  }

  async takeUnlock(asked: TurnAsked): Promise<boolean> {
    return this.moveTurn(asked.cluster, taking(asked, this.clock.now()))
  }

  async renewUnlock(asked: TurnAsked, to: 'change' | 'restore'): Promise<boolean> {
    return this.moveTurn(asked.cluster, renewing(asked, to))
  }

  async readUnlock(cluster: string): Promise<UnlockTurn | undefined> {
    const item = await this.get(`cluster#${cluster}`, 'unlock')
    return item && parse(unlockTurnSchema, item, `the guarded unlock in ${cluster}`)
  }

  async writeIntent(intent: Intent): Promise<boolean> {
    return this.moveTurn(intent.cluster, intending(intent))
  }

  async beginRestore(cluster: string, unlock: string): Promise<boolean> {
    return this.moveTurn(cluster, restoringOf(unlock, this.clock.now()))
  }

  async closeIntent(cluster: string, unlock: string): Promise<boolean> {
    return this.moveTurn(cluster, closing(unlock))
  }

  async endUnlock(cluster: string, unlock: string): Promise<boolean> {
    return this.moveTurn(cluster, ending(unlock))
  }

  async readUnlockRun(unlock: string): Promise<Versioned<UnlockRun> | undefined> {
    const item = await this.get(`unlock#${unlock}`, 'run')
    if (!item) return undefined
    const { value, version } = parse(versionedRunSchema, item, `unlock ${unlock}`)
    return { value, version }
  }

  async writeUnlockRun(value: UnlockRun, expected: number): Promise<number> {
    const { unlock, cluster, requestedAt } = value
    const version = expected + 1
    const expiry = this.expiry(keptForMs)
    const run = { pk: `unlock#${unlock}`, sk: 'run', version, value, ...expiry }
    if (!(await this.put(run, expected))) throw new UnlockMoved(unlock)
    const sk = `unlock-run#${new Date(requestedAt).toISOString()}#${unlock}`
    await this.put({ pk: `cluster#${cluster}`, sk, version, value, ...expiry })
    return version
  }

  async listUnlockRuns(cluster: string, limit: number): Promise<UnlockRun[]> {
    const items = await this.query(`cluster#${cluster}`, 'unlock-run#', { ScanIndexForward: false, Limit: limit })
    return items.map((item) => parse(versionedRunSchema, item, `the unlocks of ${cluster}`).value)
  }

  async readApproval(id: string): Promise<Approval | undefined> {
    const item = await this.get('approvals', `approval#${id}`)
    return item && parse(approvalSchema, item.approval, `approval ${id}`)
  }

  async writeApproval(approval: Approval): Promise<boolean> {
    const { id, version, expiresAt } = approval
    // In an attribute of its own: `expiresAt` is in milliseconds in the one, and in seconds for the table.
    const item = { pk: 'approvals', sk: `approval#${id}`, version, approval }
    // Also where nobody is there any more to close it.
    const until = Math.floor((Math.max(expiresAt, this.clock.now()) + historyKeptForMs) / 1000)
    return this.put({ ...item, expiresAt: until }, version - 1)
  }

  async listApprovals(those: 'open' | 'all'): Promise<Approval[]> {
    const items = await this.query('approvals', 'approval#', {})
    const approvals = items.map(({ approval }) => parse(approvalSchema, approval, 'an approval'))
    return those === 'all' ? approvals : approvals.filter(({ closed }) => !closed)
  }

  /** An INSERT is what IAM can tell from writing over an item: it has an action of its own, and never does that. */
  async appendAudit(record: AuditRecord): Promise<boolean> {
    const command = new ExecuteStatementCommand({
      Statement: `INSERT INTO "${this.auditTable}" VALUE {'pk': ?, 'sk': ?, 'record': ?}`,
      Parameters: [`unlock#${record.unlock}`, `audit#${record.id}`, record],
    })
    try {
      await this.tried('PartiQLInsert', () => this.client.send(command))
      return true
    } catch (error) {
      if (error instanceof DuplicateItemException) return false
      throw error
    }
  }

  async listAudit(unlock: string): Promise<AuditRecord[]> {
    const items = await this.query(`unlock#${unlock}`, 'audit#', { TableName: this.auditTable })
    return inOrder(items.map(({ record }) => parse(auditRecordSchema, record, `what happened in unlock ${unlock}`)))
  }

  async readNotice(event: string, channel: string): Promise<Notice | undefined> {
    const item = await this.get(`notice#${event}`, channel)
    return item && parse(noticeSchema, item, `what was told of event ${event}`)
  }

  async writeNotice(notice: Notice): Promise<boolean> {
    const { event, channel, version } = notice
    const item = { pk: `notice#${event}`, sk: channel, ...notice, ...this.expiry(historyKeptForMs) }
    return this.put(item, version - 1)
  }

  async readStatusBoard(delivery: string, cluster: string): Promise<StatusBoard | undefined> {
    const item = await this.get(`push#${delivery}`, `statuses#${cluster}`)
    return item && parse(statusBoardSchema, item, `the statuses of push ${delivery}`)
  }

  async writeStatusBoard(board: StatusBoard): Promise<boolean> {
    const { delivery, cluster, version } = board
    const key = { pk: `push#${delivery}`, sk: `statuses#${cluster}` }
    return this.put({ ...key, ...board, ...this.expiry(keptForMs) }, version - 1)
  }

  /** Whoever loses a race looks again: the winner may have been the same unlock. */
  private async moveTurn(cluster: string, move: TurnMove): Promise<boolean> {
    for (;;) {
      const turn = await this.readUnlock(cluster)
      const next = move(turn)
      if (!next || next === turn) return next !== undefined
      if (await this.put({ pk: `cluster#${cluster}`, sk: 'unlock', ...next }, next.version - 1)) return true
    }
  }

  private async scanTurn(cluster: string | undefined): Promise<ScanTurn | undefined> {
    const item = await this.get(scanKey(cluster), 'turn')
    return item && parse(scanTurnSchema, item, `the turn to scan ${cluster ?? 'the locks of no cluster'}`)
  }

  private putTurn(cluster: string | undefined, turn: ScanTurn): Promise<boolean> {
    return this.put({ pk: scanKey(cluster), sk: 'turn', ...turn }, turn.version - 1)
  }

  private expiry(afterMs: number): { expiresAt: number } {
    return { expiresAt: Math.floor((this.clock.now() + afterMs) / 1000) }
  }

  private async writeSummary(rollout: Rollout, expiresAt: number): Promise<void> {
    const { id, execution, cluster, startedAt, endedAt, outcome } = rollout
    await this.put({
      pk: `cluster#${cluster}`,
      sk: `rollout#${new Date(startedAt).toISOString()}#${id}`,
      ...{ id, execution, cluster, startedAt, expiresAt },
      ...(endedAt !== undefined && { endedAt }),
      ...(outcome !== undefined && { outcome }),
      ...(rollout.commit !== undefined && { commit: rollout.commit }),
    })
  }

  private async readChunks(id: string, set: string, count: number): Promise<Buffer> {
    const parts: Uint8Array[] = []
    for (let index = 0; index < count; index++) {
      const item = await this.get(`rollout#${id}`, chunkKey(set, index))
      parts.push(parse(chunkSchema, item, `rollout ${id}`).data)
    }
    return Buffer.concat(parts)
  }

  private async get(pk: string, sk: string): Promise<Record<string, unknown> | undefined> {
    const command = new GetCommand({ TableName: this.table, Key: { pk, sk }, ConsistentRead: true })
    return (await this.tried('GetItem', () => this.client.send(command))).Item
  }

  /** All items of a partition whose sort key begins with `prefix`, or the first `Limit` of them. */
  private async query(
    pk: string,
    prefix: string,
    options: { TableName?: string; ScanIndexForward?: boolean; Limit?: number },
  ): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = []
    let ExclusiveStartKey: Record<string, unknown> | undefined
    do {
      const command = new QueryCommand({
        TableName: this.table,
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :prefix)',
        ExpressionAttributeValues: { ':pk': pk, ':prefix': prefix },
        ConsistentRead: true,
        ...options,
        ...(ExclusiveStartKey && { ExclusiveStartKey }),
      })
      const page = await this.tried('Query', () => this.client.send(command))
      items.push(...(page.Items ?? []))
      ExclusiveStartKey = page.LastEvaluatedKey
    } while (ExclusiveStartKey && (options.Limit === undefined || items.length < options.Limit))
    return items
  }

  /** False when the stored version is not `expected` (0: no item); without `expected` it always writes. */
  private async put(item: Record<string, unknown>, expected?: number): Promise<boolean> {
    const condition =
      expected === undefined
        ? {}
        : expected === 0
          ? { ConditionExpression: 'attribute_not_exists(pk)' }
          : {
              ConditionExpression: '#version = :expected',
              ExpressionAttributeNames: { '#version': 'version' },
              ExpressionAttributeValues: { ':expected': expected },
            }
    try {
      await this.tried('PutItem', () =>
        this.client.send(new PutCommand({ TableName: this.table, Item: item, ...condition })),
      )
      return true
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false
      throw error
    }
  }

  private async tried<T>(operation: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException || !canPass(error)) throw error
      throw new LedgerUnavailable(operation, error)
    }
  }
}

const passing = new Set([
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'ThrottlingException',
  'InternalServerError',
  'ServiceUnavailable',
  'TimeoutError',
])

/** Throttling, 5xx, and connections that break; the SDK has tried three times by itself before this is asked. */
function canPass(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
  const code = (error as { code?: string }).code ?? ''
  return passing.has(error.name) || (status ?? 0) >= 500 || /^(ECONN|EPIPE|ETIMEDOUT|EAI_AGAIN|ENOTFOUND)/.test(code)
}

function scanKey(cluster = ''): string {
  return `scan#${cluster}`
}

function chunkKey(set: string, index: number): string {
  return `chunk#${set}#${index}`
}

function parse<T>(schema: z.ZodType<T>, item: unknown, what: string): T {
  const parsed = schema.safeParse(item)
  if (!parsed.success) throw new LedgerUnreadable(what, parsed.error)
  return parsed.data
}
