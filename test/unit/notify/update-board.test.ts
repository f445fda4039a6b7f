import { beforeEach, expect, test } from 'vitest'
import type { CommitStatus } from '../../../functions/lib/notify/commit-status.ts'
import { NotifierUnavailable } from '../../../functions/lib/notify/notifier-error.ts'
import { updateBoard } from '../../../functions/lib/notify/update-board.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'

const context = 'lockstep/staging/apps'
const pending: CommitStatus = { state: 'pending', description: 'queued' }
const success: CommitStatus = { state: 'success', description: '1 of 1 ready' }

let ledger: MemoryLedger
let now: number
let atGitHub: CommitStatus[]
/** What is in the way of the next calls, one for each. */
let trouble: ((effect: () => void) => Promise<void> | void)[]
beforeEach(() => {
  ledger = new MemoryLedger()
  now = 0
  atGitHub = []
  trouble = []
})

const update = (event: string, wanted: CommitStatus) =>
  updateBoard(
    {
      ...{ event, delivery: 'd', cluster: 'staging', turnMs: 50_000, giveUpAt: 1 },
      commit: { host: 'github.com', repository: 'my-org/fleet-infra', sha: 'a' },
      next: async () => ({ wanted: { [context]: wanted } }),
    },
    {
      ledger,
      clock: { now: () => now, after: () => () => {} },
      statuses: {
        set: async (_, __, status) => {
          const effect = () => void atGitHub.push(status)
          const meet = trouble.shift()
          if (meet) await meet(effect)
          else effect()
        },
      },
    },
  )

test('what is as it is wanted is not set again', async () => {
  await update('e1', pending)
  await update('e2', pending)
  expect(atGitHub).toEqual([pending])
})

test('what is wanted by another event meanwhile is set by whoever is at it', async () => {
  trouble.push(async (effect) => {
    // Leaves it to the one that has the turn.
    await update('e2', success)
    effect()
  })
  await update('e1', pending)
  expect(atGitHub).toEqual([pending, success])
  expect((await ledger.readStatusBoard('d', 'staging'))?.turn).toBeUndefined()
})

test('a status whose answer was lost counts as not set', async () => {
  await update('e1', success)
  trouble.push((effect) => {
    effect()
    throw new NotifierUnavailable('GitHub', 'a test')
  })
  await expect(update('e2', pending)).rejects.toThrow('a test')
  expect(atGitHub.at(-1)).toEqual(pending)
  await update('e3', success)
  expect(atGitHub.at(-1)).toEqual(success)
})

test('whoever dies with the turn is waited for, and is done by the next', async () => {
  trouble.push(() => new Promise(() => {}))
  void update('e1', pending)
  // Everything before the call that never ends.
  await new Promise(setImmediate)
  await expect(update('e1', pending)).rejects.toThrow(/are being set already/)
  await update('e2', success)
  expect(atGitHub).toEqual([])
  now = 61_000
  await update('e1', success)
  expect(atGitHub).toEqual([success])
})
