import { beforeEach, describe, expect, it } from 'vitest'
import { decide, type UnlockApproval } from '../../../functions/lib/approval/approval.ts'
import { readLink } from '../../../functions/lib/approval/approval-link.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { ApprovalPorts } from '../../../functions/lib/step.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { askForApproval } from '../../../functions/unlock-ask/ask.ts'
import { tofuDeployment } from '../../../infra/local/simulation/tofu/tofu-deployment.ts'
import { approvalFleet as fleet } from '../../fixtures/approval-fleet.ts'
import { askedAt, people, staleLock } from '../../fixtures/approvals.ts'
import { MemoryApprovers } from '../../fixtures/memory-approvers.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryTaskTokens } from '../../fixtures/memory-task-tokens.ts'
import { terraform } from '../../fixtures/raw-objects.ts'

const secrets = { current: 'a secret of the tests' }
const page = 'https://lockstep.example.com/approve/'
const lock = staleLock.evidence.lock.record?.id ?? ''
const unlock = 'unlock-1'

let ledger: MemoryLedger
let tasks: MemoryTaskTokens
let approvers: MemoryApprovers
let now: number
let ports: ApprovalPorts

beforeEach(async () => {
  ledger = new MemoryLedger()
  tasks = new MemoryTaskTokens()
  approvers = new MemoryApprovers()
  now = askedAt
  const cluster = new MemoryCluster('staging', structuredClone(tofuDeployment()), terraform('vpc'))
  ports = {
    ...{ ledger, tasks, approvers, fleet, log: silentLog, sliceMs: 0, approvalUrl: page },
    clusters: { connect: async () => cluster },
    clock: { now: () => now, after: () => () => {} },
    linkSecrets: async () => secrets,
    ...{ events: silentEvents, metrics: silentMetrics },
  }
  await ledger.writeObservation(staleLock)
  await requested('ana')
})

async function requested(requestedBy: string, over: Partial<UnlockRun> = {}) {
  const stored = await ledger.readUnlockRun(unlock)
  const { key: place } = staleLock
  const run = { unlock, cluster: 'staging', place, lock, requestedBy, reason: 'node lost', requestedAt: now, ...over }
  await ledger.writeUnlockRun(run, stored?.version ?? 0)
}

const ask = (token = 'first', needed = 1) => askForApproval({ unlock, token, needed }, ports)
const stored = async () => (await ledger.readApproval(unlock)) as UnlockApproval

/** As the page does it. */
async function approves(by: string, decision: 'approve' | 'deny' = 'approve') {
  const next = decide(await stored(), { by, decision, at: now }, people)
  if ('outcome' in next) throw new Error(next.why)
  await ledger.writeApproval(next)
}

it('writes down what is asked, and sends everybody but whoever asked a link of his own', async () => {
  expect(await ask('first', 2)).toEqual({ asked: 2 })
  expect(await stored()).toMatchObject({
    ...{
      kind: 'unlock',
      id: unlock,
      cluster: 'staging',
      object: 'Terraform/flux-system/vpc',
      lock,
      needed: 2,
      requestedBy: 'ana',
    },
    ...{ askedAt, expiresAt: askedAt + fleet.locks.approvalFor, token: 'first', decisions: [], version: 1 },
  })
  expect((await stored()).plan.join('\n')).toContain('To unlock Terraform/flux-system/vpc in staging')
  expect(approvers.sent.map(({ approver }) => approver)).toEqual(['bob', 'carol'])
  for (const { approver, link, summary } of approvers.sent) {
    expect(link.startsWith(page)).toBe(true)
    const { expiresAt, judged } = await stored()
    expect(readLink(link.slice(page.length), secrets, now)).toEqual({ approval: unlock, approver, expiresAt, judged })
    expect(summary).toContain('ana asks to unlock Terraform/flux-system/vpc in staging')
    expect(summary).not.toContain('first')
  }
  const audit = JSON.stringify(await ledger.listAudit(unlock))
  expect(audit).toContain('asks for approval')
  for (const secret of ['first', secrets.current]) expect(audit).not.toContain(secret)
})

describe('asked again', () => {
  it('keeps what people decided of the same lock, under the new token, and asks the others only', async () => {
    await ask('first', 2)
    await approves('bob')
    now += 60_000
    approvers.sent.length = 0
    expect(await ask('second', 2)).toEqual({ asked: 1 })
    expect(await stored()).toMatchObject({ token: 'second', askedAt, decisions: [{ by: 'bob' }] })
    expect(approvers.sent.map(({ approver }) => approver)).toEqual(['carol'])
  })

  it.each([
    ['approve', 'succeeded'],
    ['deny', 'UnlockDenied'],
  ] as const)('answers at once where people have decided meanwhile: %s', async (decision, answer) => {
    await ask()
    await approves('bob', decision)
    approvers.sent.length = 0
    expect(await ask('second')).toEqual({ asked: 0 })
    expect([...tasks.answers]).toEqual([['second', answer]])
    expect(approvers.sent).toEqual([])
  })

  it('keeps nothing of another lock, nor of what has expired', async () => {
    await ask('first', 2)
    await approves('bob')
    const { judged } = await stored()
    const parts = staleLock.evidence.lock.parts.map((part) => ({ ...part, version: 'v2' }))
    const evidence = { ...staleLock.evidence, lock: { ...staleLock.evidence.lock, parts } }
    await ledger.writeObservation({ ...staleLock, version: 2, evidence })
    await ask('second', 2)
    expect((await stored()).decisions).toEqual([])
    expect((await stored()).judged).not.toBe(judged)
    await approves('bob')
    now += fleet.locks.approvalFor
    await ask('third', 2)
    expect(await stored()).toMatchObject({ decisions: [], askedAt: now, token: 'third' })
  })

  it('loses no decision that comes at the same time', async () => {
    await ask('first', 2)
    const write = ledger.writeApproval.bind(ledger)
    ledger.writeApproval = async (approval) => {
      ledger.writeApproval = write
      await approves('bob')
      return write(approval)
    }
    await ask('second', 2)
    expect(await stored()).toMatchObject({ token: 'second', decisions: [{ by: 'bob' }] })
  })
})

it('takes nothing from a later try that has asked meanwhile', async () => {
  const write = ledger.writeApproval.bind(ledger)
  ledger.writeApproval = async (approval) => {
    ledger.writeApproval = write
    await ask('later')
    return write(approval)
  }
  await expect(ask('earlier')).rejects.toMatchObject({ name: 'AskedMeanwhile' })
  expect((await stored()).token).toBe('later')
})

describe('asks nobody', () => {
  it.each([
    ['ana', 3, '3 people have to agree, and beside ana the fleet names only bob, carol'],
    ['Bob@Example.com', 3, 'the fleet names only ana, carol'],
    ['lockstep (scan)', 4, 'the fleet names only ana, bob, carol'],
  ])('where there are too few beside %s', async (requestedBy, needed, why) => {
    await requested(requestedBy)
    await expect(ask('first', needed)).rejects.toMatchObject({
      name: 'UnlockRefused',
      message: expect.stringContaining(why),
    })
    expect(await ledger.readApproval(unlock)).toBeUndefined()
  })

  it('where the fleet names nobody', async () => {
    ports = { ...ports, fleet: { ...fleet, locks: { ...fleet.locks, approvers: [] } } }
    await expect(ask()).rejects.toThrow('beside ana the fleet names nobody')
  })

  it('where the lock is another one, or is not to be unlocked any more', async () => {
    await requested('ana', { lock: 'another' })
    await expect(ask()).rejects.toMatchObject({ name: 'LockChanged' })
    await requested('ana')
    await ledger.writeObservation({
      ...{ ...staleLock, version: 2 },
      judgement: { ...staleLock.judgement, verdict: 'live' },
    })
    await expect(ask()).rejects.toMatchObject({ name: 'UnlockRefused' })
    expect(approvers.sent).toEqual([])
  })
})

it('is to be asked again where nobody could be told', async () => {
  approvers.down = true
  await expect(ask()).rejects.toMatchObject({ name: 'ApproversUnavailable' })
  approvers.down = false
  expect(await ask('first')).toEqual({ asked: 2 })
})
