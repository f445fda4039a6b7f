import type { Clock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import type { AuditRecord } from '../../../functions/lib/unlock/run/audit.ts'
import { placeOf, unlockInputSchema, unlockRequest } from '../../../functions/lib/unlock/run/unlock-request.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import type { Interpreter } from '../states/interpreter.ts'
import { StatesRefusal } from '../states/states-refusal.ts'
import type { ApprovalLine, ApprovalViews } from './approval-view.ts'
import { type ExecutionRef, findExecution } from './execution-view.ts'

export const unlockMachine = 'guarded-unlock'

/** How far a guarded unlock is. Times are in milliseconds since the epoch. */
export interface UnlockRunView {
  readonly unlock: string
  readonly status: ExecutionRef['status']
  readonly startedAt: number
  /** What it does and did: each step once for each time that it was come to. */
  readonly steps: readonly { readonly name: string; readonly at: number }[]
  /** What is known of it by now: undefined before its first step has written it down. */
  readonly run?: Pick<UnlockRun, 'cluster' | 'lock' | 'object' | 'rung' | 'outcome' | 'why'>
  /** Where people were asked. */
  readonly approval?: ApprovalLine
  /** Of an execution that ended badly. */
  readonly error?: string
  readonly cause?: string
}

/** The latest unlock of a lock, with what is on record of it. */
export interface LatestUnlockView extends UnlockRunView {
  readonly audit: readonly AuditLine[]
}

/** One record of the audit. */
export interface AuditLine {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly what: string
  readonly by: string
  /** What it was done to; empty where that goes without saying. */
  readonly to: string
}

export interface UnlockAskedFor {
  /** Of the lock's place. */
  readonly key: string
  readonly requestedBy: string
  readonly reason: string
}

export interface UnlockStarted {
  readonly unlock: string
  /** Somebody else has asked for it, and it goes on under their name. */
  readonly wasUnderWay: boolean
}

/** Nothing is there that could be unlocked. */
export class NothingToUnlock extends LockstepError {
  constructor(why: string) {
    super('NothingToUnlock', `There is nothing to unlock: ${why}.`, 'See which locks there are with list.')
  }
}

export interface UnlockRunsOptions {
  readonly interpreter: Pick<Interpreter, 'start' | 'list' | 'history'>
  readonly ledger: Pick<Ledger, 'readObservation' | 'readUnlockRun' | 'listAudit'>
  readonly approvals: Pick<ApprovalViews, 'get'>
  readonly clock: Clock
}

/** Guarded unlocks that people start, and how far they are. Methods may reject with LedgerUnavailable. */
export class UnlockRuns {
  private readonly options: UnlockRunsOptions

  constructor(options: UnlockRunsOptions) {
    this.options = options
  }

  /**
   * Starts the unlock of the lock that the latest scan saw, and answers its id; or the id of the one that is under way
   * already, as a scan may have begun it. Whether it may be unlocked is for the unlock to find out. Throws
   * NothingToUnlock.
   */
  async start({ key, requestedBy, reason }: UnlockAskedFor): Promise<UnlockStarted> {
    const { ledger, interpreter, clock } = this.options
    const running = interpreter.list({ machine: unlockMachine, status: 'RUNNING' })
    const underWay = running.find(({ name }) => placeOf(name) === key)
    if (underWay) return { unlock: underWay.name, wasUnderWay: true }
    const observation = await ledger.readObservation(key)
    const lock = observation?.evidence.lock.record?.id
    const cluster = observation?.evidence.owner?.cluster
    if (lock === undefined) throw new NothingToUnlock('no scan has seen a lock there whose record can be read')
    if (cluster === undefined) throw new NothingToUnlock('the lock belongs to no object of the fleet')
    const asked = unlockInputSchema.safeParse({ place: key, lock, cluster, requestedBy, reason })
    if (!asked.success) throw new NothingToUnlock('the id of the lock is one that no OpenTofu writes')
    const { name, input } = unlockRequest({ ...asked.data, attempt: Math.floor(clock.now() / 1_000) })
    try {
      interpreter.start({ machine: unlockMachine, name, input })
    } catch (error) {
      // It was started in this very second, and has ended.
      if (!(error instanceof StatesRefusal) || error.name !== 'ExecutionAlreadyExists') throw error
    }
    return { unlock: name, wasUnderWay: false }
  }

  /** Of a lock's place: the one that was started last. Undefined where there was none. */
  async latest(place: string): Promise<LatestUnlockView | undefined> {
    const { interpreter, ledger } = this.options
    const execution = interpreter.list({ machine: unlockMachine }).find(({ name }) => placeOf(name) === place)
    const view = execution && (await this.get(execution.name))
    return view && { ...view, audit: (await ledger.listAudit(view.unlock)).map(auditLine) }
  }

  /** Undefined where there is no such unlock. */
  async get(unlock: string): Promise<UnlockRunView | undefined> {
    const { ledger, interpreter, approvals } = this.options
    const execution = findExecution(interpreter, unlockMachine, unlock)
    if (!execution) return undefined
    const [stored, approval, observation] = await Promise.all([
      ledger.readUnlockRun(unlock),
      approvals.get(unlock),
      ledger.readObservation(placeOf(unlock)),
    ])
    // One that is refused at once has not written down whose lock it is.
    const object = stored?.value.object ?? observation?.evidence.owner?.object
    const { status, startDate, error, cause } = execution
    return {
      ...{
        unlock,
        status,
        startedAt: Date.parse(startDate),
        steps: stepsOf(interpreter.history(execution.executionArn)),
      },
      ...(stored && { run: shownOf({ ...stored.value, object }) }),
      ...(approval && { approval }),
      ...(error !== undefined && { error }),
      ...(cause !== undefined && { cause }),
    }
  }
}

function stepsOf(history: ReturnType<Interpreter['history']>): UnlockRunView['steps'] {
  return history.flatMap(({ type, timestamp, stateEnteredEventDetails: entered }) =>
    type === 'TaskStateEntered' && entered ? [{ name: entered.name, at: Date.parse(timestamp) }] : [],
  )
}

function auditLine({ at, what, by, detail }: AuditRecord): AuditLine {
  const { object, field, from, to, address, pod } = detail
  const change = from === undefined ? [] : [`from ${from} to ${to}`]
  return { at, what, by, to: [object ?? address ?? pod, field, ...change].filter(Boolean).join(' ') }
}

function shownOf({ cluster, lock, object, rung, outcome, why }: UnlockRun): NonNullable<UnlockRunView['run']> {
  return {
    ...{ cluster, lock },
    ...(object !== undefined && { object }),
    ...(rung !== undefined && { rung }),
    ...(outcome !== undefined && { outcome }),
    ...(why !== undefined && { why }),
  }
}
