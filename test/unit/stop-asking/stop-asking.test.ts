import { beforeEach, expect, test } from 'vitest'
import type { Approval } from '../../../functions/lib/approval/approval.ts'
import type { LockstepEvent } from '../../../functions/lib/events.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { bindStep } from '../../../functions/lib/step.ts'
import { step } from '../../../functions/stop-asking/handler.ts'
import { approvalFleet as fleet } from '../../fixtures/approval-fleet.ts'
import { approvalOf } from '../../fixtures/approvals.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { rolloutTo } from '../../fixtures/notified-rollout.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

const rollout = rolloutTo('staging')
const wave = waveApprovalOf()
const plan = planApprovalOf({ id: `${rollout.id} Terraform/flux-system/vpc`, rollout: rollout.id })

let ledger: MemoryLedger
let told: LockstepEvent[]
beforeEach(async () => {
  ledger = new MemoryLedger()
  told = []
  await ledger.writeRollout({ ...rollout, outcome: 'failed' }, 0)
})

/** Whoever started it gave it a name of its own. */
const fleetEnd = (status: string, error?: string) => ({
  detail: { executionArn: wave.execution, name: 'by-hand', status, error },
})
const rolloutEnd = { detail: { executionArn: rollout.execution, name: rollout.id, status: 'ABORTED' } }

const stopAsking = async (event: object) => {
  const events = { publish: async (each: LockstepEvent) => void told.push(each) }
  const clock = { now: () => 7_000, after: () => () => {} }
  return bindStep(step, () => ({ ledger, fleet, events, clock, log: silentLog, metrics: silentMetrics }))(event)
}

async function after(approval: Approval, event: object) {
  await ledger.writeApproval(approval)
  expect(await stopAsking(event)).toEqual({ closed: 1 })
  expect(await stopAsking(event)).toEqual({ closed: 0 })
  expect(told).toHaveLength(1)
  const closed = await ledger.readApproval(approval.id)
  expect(closed?.token).toBeUndefined()
  return { how: closed?.closed?.how, event: told[0] }
}

const consent = { by: 'bob', decision: 'approve', at: 6_000 } as const
const denial = { by: 'bob', decision: 'deny', at: 6_000 } as const

test.each([
  ['a person has stopped it', fleetEnd('ABORTED'), {}, 'stopped', 'withdrawn'],
  ['nobody has decided in time', fleetEnd('FAILED', 'WaveNotApproved'), {}, 'expired', 'expired'],
  ['people could not be asked', fleetEnd('FAILED', 'WaveNotAsked'), {}, 'ended', 'withdrawn'],
  [
    'nobody heard that somebody had agreed',
    fleetEnd('FAILED', 'WaveNotApproved'),
    { decisions: [consent] },
    'ended',
    'withdrawn',
  ],
  ['somebody had denied it', fleetEnd('FAILED', 'WaveNotApproved'), { decisions: [denial] }, 'denied', 'denied'],
])('a wave is closed where %s, and told of', async (_, event, over, how, what) => {
  expect(await after({ ...wave, ...over }, event)).toMatchObject({
    how,
    event: { type: 'Wave Approval Changed', what, execution: wave.execution },
  })
})

test('a plan is closed where its rollout was stopped, and told of', async () => {
  const { how, event } = await after(plan, rolloutEnd)
  expect(how).toBe('stopped')
  expect(event).toMatchObject({ type: 'Plan Approval Changed', what: 'withdrawn', rollout: rollout.id })
})

test('a plan that its watcher has closed, and could not tell of, is told of', async () => {
  const { how, event } = await after({ ...plan, closed: { how: 'gone', at: 6_500 }, token: undefined }, rolloutEnd)
  expect([how, event]).toMatchObject(['gone', { what: 'withdrawn', at: '1970-01-01T00:00:06.500Z' }])
})

test('what somebody decides meanwhile is not lost', async () => {
  await ledger.writeApproval(wave)
  const write = ledger.writeApproval.bind(ledger)
  ledger.writeApproval = async (approval) => {
    ledger.writeApproval = write
    await write({ ...wave, version: 2, decisions: [denial] })
    return write(approval)
  }
  await stopAsking(fleetEnd('ABORTED'))
  expect(await ledger.readApproval(wave.id)).toMatchObject({ decisions: [denial], closed: { how: 'denied' } })
  expect(told).toMatchObject([{ what: 'denied', by: 'bob' }])
})

test('what others have asked, and unlocks, are left as they are', async () => {
  const others = [
    { ...wave, id: 'another wave', execution: `${wave.execution}-2` },
    { ...plan, id: 'another plan', rollout: `${rollout.id}-2` },
    approvalOf({ id: rollout.id }),
    { ...plan, id: 'carried out', closed: { how: 'approved' as const, at: 1 }, carriedOut: true },
  ]
  for (const other of others) await ledger.writeApproval(other)
  for (const event of [rolloutEnd, fleetEnd('ABORTED')]) expect(await stopAsking(event)).toEqual({ closed: 0 })
  for (const other of others) expect(await ledger.readApproval(other.id)).toEqual(other)
  expect(told).toEqual([])
})
