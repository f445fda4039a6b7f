import { isDeepStrictEqual } from 'node:util'
import type { FleetCluster } from '../fleet.ts'
import type { StatusBoard } from '../notify/status-board.ts'
import type { Rollout } from '../rollout/rollout.ts'
import { rolloutEvents } from '../rollout/rollout-events.ts'
import type { Ports } from '../step.ts'
import { tell } from '../tell.ts'
import { readBranch } from './branch-state.ts'
import { branchesOf } from './lost-push.ts'

/** So long after the end of a rollout Lambda still tries again by itself, in milliseconds. */
const triesMs = 10 * 60_000

/** So long after it GitHub may have been away, in milliseconds: what refuses for longer is for people to mend. */
const awayMs = 6 * 60 * 60_000

/**
 * Publishes the end of a rollout again, under its id, where GitHub has refused a status of it each time, and no later event would
 * set it: whoever hears of it sets what differs, and sends no message twice. Rejects with LedgerUnavailable.
 */
export async function retellStatuses(cluster: FleetCluster, ports: Ports): Promise<void> {
  if (!ports.fleet.notifications.github) return
  for (const branch of branchesOf(cluster, ports)) {
    const { newest } = await readBranch(cluster.name, branch, ports)
    if (!newest || !isRecent(newest, ports.clock.now()) || !(await isBehind(newest, ports))) continue
    const end = rolloutEvents(newest).at(-1)
    if (end) await tell(end, ports)
  }
}

function isRecent({ endedAt }: Rollout, now: number): boolean {
  return endedAt !== undefined && now > endedAt + triesMs && now < endedAt + awayMs
}

/** Those of its layers, or that of the whole push. */
async function isBehind({ cluster, push }: Rollout, { ledger, clock }: Ports): Promise<boolean> {
  for (const part of [cluster, '']) {
    const board = await ledger.readStatusBoard(push.delivery, part)
    if (board && !isAtWork(board, clock.now()) && !isDeepStrictEqual(board.wanted, board.posted)) return true
  }
  return false
}

function isAtWork({ turn }: StatusBoard, now: number): boolean {
  return turn !== undefined && turn.until > now
}
