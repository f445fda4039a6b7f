import { beforeEach, expect, test } from 'vitest'
import type { LockstepEvent } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { StatusBoard } from '../../../functions/lib/notify/status-board.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { clusterOf } from '../../../functions/lib/rollout/rollout-step.ts'
import { retellStatuses } from '../../../functions/lib/sweep/retell-statuses.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { delivery, rolloutTo } from '../../fixtures/notified-rollout.ts'

const minute = 60_000
const now = Date.parse('2026-03-02T12:00:00Z')
const fleetWith = (notifications: object) =>
  parseFleet({
    repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'staging' }],
    notifications,
  })

let ledger: MemoryLedger
let told: LockstepEvent[]
beforeEach(() => {
  ledger = new MemoryLedger()
  told = []
})

const retell = async (notifications: object = { github: { secret: 'github' } }) => {
  const fleet = fleetWith(notifications)
  const clock = { now: () => now, after: () => () => {} }
  const events = { publish: async (event: LockstepEvent) => void told.push(event) }
  await retellStatuses(clusterOf(fleet, 'staging'), {
    ...{ ledger, fleet, clock, events, log: silentLog, metrics: silentMetrics },
  })
  return told.map(({ id }) => id)
}

async function rolledOut(over: Partial<Rollout> = {}): Promise<void> {
  const rollout: Rollout = { ...rolloutTo('staging'), outcome: 'failed', endedAt: now - 11 * minute, ...over }
  const { id, execution, push } = rollout
  const { before, after, pushedAt } = push
  const newest = { rollout: id, execution, before, after, pushedAt }
  await ledger.writeClaim({ cluster: 'staging', branch: branchOf(push), version: 1, leaseUntil: 0, newest })
  await ledger.writeRollout(rollout, 0)
}

const pending = { lockstep: { state: 'pending' as const, description: '' } }
const board = (over: Partial<StatusBoard> = {}): Promise<boolean> =>
  ledger.writeStatusBoard({
    ...{ delivery, cluster: '', version: 1, commit: { host: 'h', repository: 'r', sha: 's' }, bad: {} },
    ...{ wanted: pending, posted: {}, ...over },
  })

test.each(['', 'staging'])(
  'the end of a rollout is told again, under its id, while a status is missing (%j)',
  async (of) => {
    await rolledOut()
    await board({ cluster: of })
    expect(await retell()).toEqual([`${delivery}.staging/finished`])
  },
)

test.each<[string, Partial<Rollout>, Partial<StatusBoard>]>([
  ['all are set', {}, { posted: pending }],
  ['somebody sets them now', {}, { turn: { event: 'e', until: now + 1 } }],
  ['it has only just ended', { endedAt: now - 9 * minute }, {}],
  ['it is long over', { endedAt: now - 6 * 60 * minute }, {}],
])('nothing is told again where %s', async (_, rollout, statuses) => {
  await rolledOut(rollout)
  await board(statuses)
  expect(await retell()).toEqual([])
})

test('nothing is told again while it is under way, where GitHub is not told, nor where nothing was rolled out', async () => {
  expect(await retell()).toEqual([])
  await rolledOut({ outcome: undefined, endedAt: undefined })
  await board()
  expect(await retell()).toEqual([])
  ledger = new MemoryLedger()
  await rolledOut()
  await board()
  expect(await retell({})).toEqual([])
})
