import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { CommitStatus, CommitStatuses } from './commit-status.ts'
import type { StatusBoard } from './status-board.ts'

/** The same event is being worked on, or a try of it has died with its turn. */
export class StatusesBusy extends LockstepError {
  constructor({ delivery, cluster }: Pick<StatusBoard, 'delivery' | 'cluster'>) {
    super(
      'StatusesBusy',
      `The statuses of push ${delivery}${cluster && ` in ${cluster}`} are being set already.`,
      'It is tried again.',
    )
  }
}

export interface BoardPorts {
  readonly ledger: Pick<Ledger, 'readStatusBoard' | 'writeStatusBoard'>
  readonly statuses: CommitStatuses
  readonly clock: Clock
}

export interface BoardUpdate {
  /** The id of what is worked on. */
  readonly event: string
  readonly delivery: string
  readonly cluster: string
  readonly commit: StatusBoard['commit']
  /**
   * What the board is to be. It is asked after the board was read, and reads the truth after that: so of two writes of the
   * board the later one rests on the later truth.
   */
  readonly next: (
    board: StatusBoard,
  ) => Promise<Pick<StatusBoard, 'wanted'> & Partial<Pick<StatusBoard, 'bad' | 'ended' | 'asked'>>>
  /** How long whoever sets statuses may take, in milliseconds: a function does not live longer. */
  readonly turnMs: number
  readonly giveUpAt: number
}

/**
 * Writes down what the statuses are to be, and sets those that are not so yet, unless somebody else is at it: whoever has the turn
 * does not end it before all is set that was written down. So it ends in the last truth, however events come: twice, out of
 * order, at the same time. Rejects with StatusesBusy, LedgerUnavailable, NotifierUnavailable and NotifierRefused: call
 * again with the same event.
 */
export async function updateBoard(update: BoardUpdate, ports: BoardPorts): Promise<void> {
  let board = await writeDown(update, ports)
  while (board) {
    const result = await postAll(board, update, ports)
    board = await endTurn(board, result, update, ports)
    if ('failure' in result) throw result.failure
  }
}

/** Answers the board if it is now our turn to set statuses. */
async function writeDown(update: BoardUpdate, { ledger, clock }: BoardPorts): Promise<StatusBoard | undefined> {
  const { delivery, cluster, commit, event } = update
  for (;;) {
    const board: StatusBoard = (await ledger.readStatusBoard(delivery, cluster)) ?? {
      ...{ delivery, cluster, commit, version: 0, wanted: {}, posted: {}, bad: {} },
    }
    const { turn } = board
    const isTaken = turn !== undefined && turn.until > clock.now()
    // Whoever works on this very event may have died: then nobody sets anything before the turn is over.
    if (isTaken && turn.event === event) throw new StatusesBusy(board)
    const changed = { ...board, ...(await update.next(board)) }
    const isOurs = !isTaken && !isDeepStrictEqual(changed.wanted, board.posted)
    if (!isOurs && isDeepStrictEqual(changed, board)) return undefined
    const next: StatusBoard = {
      ...{ ...changed, version: board.version + 1 },
      ...(isOurs && { turn: { event, until: clock.now() + update.turnMs } }),
    }
    if (await ledger.writeStatusBoard(next)) return isOurs ? next : undefined
  }
}

interface Posted {
  readonly posted: Record<string, CommitStatus>
  /** What ended it early. */
  readonly failure?: unknown
}

async function postAll(board: StatusBoard, { giveUpAt }: BoardUpdate, { statuses }: BoardPorts): Promise<Posted> {
  const posted = { ...board.posted }
  for (const [context, status] of Object.entries(board.wanted)) {
    if (isDeepStrictEqual(status, posted[context])) continue
    try {
      // What is being set may be set although no answer comes: it is to be set again then.
      delete posted[context]
      await statuses.set(board.commit, context, status, giveUpAt)
      posted[context] = status
    } catch (failure) {
      return { posted, failure }
    }
  }
  return { posted }
}

/** Gives the turn back. Answers the board where it is still ours, because something else is wanted by now. */
async function endTurn(
  mine: StatusBoard,
  { posted, ...result }: Posted,
  { event, turnMs }: BoardUpdate,
  { ledger, clock }: BoardPorts,
): Promise<StatusBoard | undefined> {
  let board = mine
  for (;;) {
    const isOver = 'failure' in result || isDeepStrictEqual(board.wanted, posted)
    const { turn: _, ...rest } = board
    const next: StatusBoard = {
      ...{ ...rest, posted, version: board.version + 1 },
      ...(!isOver && { turn: { event, until: clock.now() + turnMs } }),
    }
    if (await ledger.writeStatusBoard(next)) return isOver ? undefined : next
    const stored = await ledger.readStatusBoard(mine.delivery, mine.cluster)
    if (stored?.turn?.event !== event) throw new StatusesBusy(mine)
    board = stored
  }
}
