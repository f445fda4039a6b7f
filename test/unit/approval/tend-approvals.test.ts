import { beforeEach, describe, expect, it } from 'vitest'
import type { Approval } from '../../../functions/lib/approval/approval.ts'
import { type TendPorts, tendApprovals } from '../../../functions/lib/approval/tend-approvals.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { approvalFleet as fleet } from '../../fixtures/approval-fleet.ts'
import { approvalOf, askedAt, staleLock } from '../../fixtures/approvals.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryTaskTokens } from '../../fixtures/memory-task-tokens.ts'
import { observationOf } from '../../fixtures/observations.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

let ledger: MemoryLedger
let tasks: MemoryTaskTokens
let now: number
let ports: TendPorts

beforeEach(() => {
  ledger = new MemoryLedger()
  tasks = new MemoryTaskTokens()
  now = askedAt + 60_000
  const quiet = { log: silentLog, events: silentEvents, metrics: silentMetrics }
  ports = { ...quiet, ledger, tasks, fleet, clock: { now: () => now, after: () => () => {} } }
})

async function tended(approval: Approval, observation: Observation = staleLock) {
  await ledger.writeApproval(approval)
  await tendApprovals([observation], ports)
  return ledger.readApproval(approval.id)
}

it('keeps a task waiting whose lock is what people were asked about', async () => {
  expect(await tended(approvalOf())).toEqual(approvalOf())
  expect(tasks.heartbeats).toEqual(['a task token'])
})

it.each<[string, Observation]>([
  [
    'taken again',
    { ...staleLock, evidence: { ...staleLock.evidence, lock: { ...staleLock.evidence.lock, parts: [] } } },
  ],
  ['alive again', observationOf()],
])('ends one whose lock is %s, and forgets the token', async (_, observation) => {
  const approved = approvalOf({ decisions: [{ by: 'bob', decision: 'approve', at: askedAt }] })
  const closed = await tended(approved, observation)
  expect([...tasks.answers]).toEqual([['a task token', 'LockChanged']])
  expect(closed).toMatchObject({ version: 2, closed: { how: 'changed', at: now } })
  expect(JSON.stringify(closed)).not.toContain('token')
  expect(await ledger.listApprovals('open')).toEqual([])
  expect((await ledger.listAudit('unlock-1')).map(({ what }) => what)).toEqual(['the approval ends as changed'])
})

it('ends one that the policy does not allow any more', async () => {
  const never = { ...fleet, locks: { ...fleet.locks, policy: { test: { apply: 'never' as const } } } }
  ports = { ...ports, fleet: never }
  expect(await tended(approvalOf())).toMatchObject({ closed: { how: 'changed' } })
})

it('leaves one alone whose lock could not be read, without a heartbeat', async () => {
  const unread = { ...staleLock, judgement: { ...staleLock.judgement, verdict: 'unknown' as const } }
  expect(await tended(approvalOf(), unread)).toEqual(approvalOf())
  expect([tasks.heartbeats, [...tasks.answers]]).toEqual([[], []])
})

it('leaves those alone whose places it was not given', async () => {
  expect(await tended(approvalOf({ place: 'elsewhere' }))).toMatchObject({ version: 1 })
  expect(tasks.heartbeats).toEqual([])
})

it('ends one whose time is over', async () => {
  now = approvalOf().expiresAt
  expect(await tended(approvalOf())).toMatchObject({ closed: { how: 'expired' } })
  expect([...tasks.answers.values()]).toEqual(['NotApproved'])
})

it.each([
  ['approve', 'approved', 'succeeded'],
  ['deny', 'denied', 'UnlockDenied'],
] as const)('answers what people have decided where nobody has yet: %s', async (decision, how, answer) => {
  const decided = approvalOf({ needed: 1, decisions: [{ by: 'bob', decision, at: askedAt }] })
  expect(await tended(decided)).toMatchObject({ closed: { how } })
  expect([...tasks.answers.values()]).toEqual([answer])
})

it('tells nobody of an agreement to a lock that has changed since', async () => {
  const decided = approvalOf({ needed: 1, decisions: [{ by: 'bob', decision: 'approve', at: askedAt }] })
  expect(await tended(decided, observationOf())).toMatchObject({ closed: { how: 'changed' } })
  expect([...tasks.answers.values()]).toEqual(['LockChanged'])
})

it('closes one that nobody waits for', async () => {
  tasks.gone.add('a task token')
  expect(await tended(approvalOf())).toMatchObject({ closed: { how: 'gone' } })
})

it('tends the others where one fails', async () => {
  await ledger.writeApproval(approvalOf({ id: 'a', token: 'first' }))
  await ledger.writeApproval(approvalOf({ id: 'b', token: 'second' }))
  const heartbeat = tasks.heartbeat.bind(tasks)
  tasks.heartbeat = async (token) => {
    if (token === 'first') throw new Error('throttled')
    return heartbeat(token)
  }
  await tendApprovals([staleLock], ports)
  expect(tasks.heartbeats).toEqual(['second'])
})

it('stays open where the task could not be answered', async () => {
  tasks.down = true
  const decided = approvalOf({ needed: 1, decisions: [{ by: 'bob', decision: 'approve', at: askedAt }] })
  expect(await tended(decided)).toEqual(decided)
  tasks.down = false
  await tendApprovals([staleLock], ports)
  expect([...tasks.answers.values()]).toEqual(['succeeded'])
})

describe('of a wave', () => {
  const yes = [{ by: 'bob', decision: 'approve' as const, at: askedAt }]

  it.each([
    ['approve', 'approved', 'succeeded'],
    ['deny', 'denied', 'WaveDenied'],
  ] as const)(
    'answers what people have decided where nobody has within a minute: %s',
    async (decision, how, answer) => {
      const decided = waveApprovalOf({ decisions: [{ by: 'bob', decision, at: askedAt }] })
      now = askedAt + 59_999
      expect(await tended(decided)).toEqual(decided)
      now++
      await tendApprovals([], ports)
      expect(await ledger.readApproval(decided.id)).toMatchObject({ closed: { how, at: now } })
      expect([...tasks.answers.values()]).toEqual([answer])
    },
  )

  it.each([
    ['waits for people', []],
    ['waits for more people', yes],
  ])('leaves one alone that %s', async (_, decisions) => {
    now = askedAt + 120_000
    const open = waveApprovalOf({ needed: 2, decisions })
    expect(await tended(open)).toEqual(open)
    expect([...tasks.answers]).toEqual([])
  })
})
