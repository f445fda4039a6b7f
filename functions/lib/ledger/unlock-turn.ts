import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { type Intent, intentSchema } from '../unlock/hold/intent.ts'

/** One guarded unlock per cluster at a time: whose turn it is, and what it has written down that it will change. */
export const unlockTurnSchema = z.object({
  cluster: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  unlock: z.string(),
  /** After this time (milliseconds since the epoch) the unlock is taken for dead; 0 when it has ended. */
  leaseUntil: z.number(),
  /** There from before the first change until all of it is put back. While it is there nobody else gets the turn. */
  intent: intentSchema.optional(),
  /** Since when what the unlock left behind is put back, in milliseconds since the epoch: it may never change anything more. */
  restoring: z.number().optional(),
})
export type UnlockTurn = z.infer<typeof unlockTurnSchema>

/** Answers what the turn becomes: undefined where the move is not allowed, the same turn where nothing is to be written. */
export type TurnMove = (turn: UnlockTurn | undefined) => UnlockTurn | undefined

/** What wants a turn, or renews the one that it has. One that has ended never gets it again. */
export interface TurnAsked {
  readonly cluster: string
  readonly unlock: string
  /** Milliseconds since the epoch. */
  readonly leaseUntil: number
}

export function taking({ cluster, unlock, leaseUntil }: TurnAsked, now: number): TurnMove {
  return (turn) => {
    const next = { cluster, unlock, leaseUntil, version: (turn?.version ?? 0) + 1 }
    if (!turn) return next
    if (turn.unlock === unlock)
      return turn.restoring === undefined && turn.leaseUntil > 0 ? { ...turn, ...next } : undefined
    // What an unlock has changed and not put back is nobody else's to build on, however dead it is.
    return turn.intent || turn.leaseUntil > now ? undefined : next
  }
}

/** `to`: an unlock that restores what it has changed may only go on with that. One that has ended gets nothing any more. */
export function renewing({ unlock, leaseUntil }: TurnAsked, to: 'change' | 'restore'): TurnMove {
  return ownMove(unlock, (turn) => {
    if (turn.leaseUntil === 0 || (to === 'change' && turn.restoring !== undefined)) return undefined
    return { ...turn, version: turn.version + 1, leaseUntil }
  })
}

export function intending(intent: Intent): TurnMove {
  return ownMove(intent.unlock, (turn) => {
    if (turn.restoring !== undefined) return undefined
    if (turn.intent) return isDeepStrictEqual(turn.intent, intent) ? turn : undefined
    return { ...turn, version: turn.version + 1, intent }
  })
}

export function restoringOf(unlock: string, now: number): TurnMove {
  return ownMove(unlock, (turn) => {
    if (!turn.intent) return undefined
    return turn.restoring === undefined ? { ...turn, version: turn.version + 1, restoring: now } : turn
  })
}

export function closing(unlock: string): TurnMove {
  return ownMove(unlock, (turn) => {
    if (!turn.intent) return turn
    const { intent: _, ...rest } = turn
    // An unlock that was put back is over, and stays so: a step of it that still works somewhere gets no turn again.
    return { ...rest, version: turn.version + 1, ...(turn.restoring !== undefined && { leaseUntil: 0 }) }
  })
}

export function ending(unlock: string): TurnMove {
  return ownMove(unlock, (turn) => {
    if (turn.intent) return undefined
    return turn.leaseUntil === 0 ? turn : { ...turn, version: turn.version + 1, leaseUntil: 0 }
  })
}

function ownMove(unlock: string, move: (turn: UnlockTurn) => UnlockTurn | undefined): TurnMove {
  return (turn) => (turn?.unlock === unlock ? move(turn) : undefined)
}
