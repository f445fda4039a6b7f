import { beforeEach, expect, it } from 'vitest'
import type { Approval } from '../../../functions/lib/approval/approval.ts'
import { readLink } from '../../../functions/lib/approval/approval-link.ts'
import { recordDecision } from '../../../functions/lib/approval/record-decision.ts'
import type { LockstepEvent } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { unknownPusher } from '../../../functions/lib/push.ts'
import type { AskPorts } from '../../../functions/lib/step.ts'
import { askBeforeWave } from '../../../functions/wave-ask/ask-before-wave.ts'
import { MemoryApprovers } from '../../fixtures/memory-approvers.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryTaskTokens } from '../../fixtures/memory-task-tokens.ts'
import { push } from '../../fixtures/raw-objects.ts'

const secrets = { current: 'a secret of the tests' }
const written = {
  repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
  clusters: [{ name: 'a', eks: 'a', region: 'eu-west-1', environment: 'test', approval: 'before' }],
}
let ledger: MemoryLedger
let tasks: MemoryTaskTokens
let approvers: MemoryApprovers
let ports: AskPorts
let told: LockstepEvent[]

beforeEach(() => {
  ledger = new MemoryLedger()
  tasks = new MemoryTaskTokens()
  approvers = new MemoryApprovers()
  told = []
  ports = {
    ...{ ledger, tasks, approvers, log: silentLog, metrics: silentMetrics, approvalUrl: '/a/' },
    events: { publish: async (event) => void told.push(event) },
    fleet: parseFleet({ ...written, waves: { approvers: ['ana', 'bob', 'carol'], approvalFor: '2h' } }),
    clock: { now: () => 1_000, after: () => () => {} },
    linkSecrets: async () => secrets,
  }
})

const wave = {
  execution: 'arn:aws:states:eu-west-1:111122223333:execution:fleet:first',
  ...{ push: { ...push(), pusher: 'ana' }, number: 2, of: 3, clusters: 50, names: [], token: 'first' },
  before: { succeeded: 4, failed: 1, other: 0 },
}
const id = `${wave.push.delivery} wave 2`

it('asks everybody but whoever pushed, and one of them is enough', async () => {
  expect(await askBeforeWave(wave, ports)).toEqual({ asked: 2 })
  expect(approvers.sent.map(({ approver }) => approver)).toEqual(['bob', 'carol'])
  const approval = await ledger.readApproval(id)
  expect(approval).toMatchObject({ kind: 'wave', wave: 2, waves: 3, clusterCount: 50, before: wave.before, needed: 1 })
  const link = readLink(approvers.sent[0]?.link.slice(3) ?? '', secrets, 1_000)
  expect(link).toMatchObject({ approval: id, approver: 'bob', expiresAt: 1_000 + 2 * 3_600_000 })
  const judged = approval?.judged ?? ''
  await recordDecision({ approval: id, judged, by: 'ana', decision: 'approve' }, ports)
  expect(tasks.answers.size).toBe(0)
  await recordDecision({ approval: id, judged, by: 'bob', decision: 'approve' }, ports)
  expect([...tasks.answers]).toEqual([['first', 'succeeded']])
  expect(told).toMatchObject([
    { what: 'asked', clusters: 50, execution: wave.execution },
    { what: 'approved', by: 'bob' },
  ])
})

it('answers a later try by what was decided meanwhile', async () => {
  await askBeforeWave(wave, ports)
  tasks.down = true
  const { judged = '' } = (await ledger.readApproval(id)) ?? {}
  await recordDecision({ approval: id, judged, by: 'bob', decision: 'deny' }, ports)
  tasks.down = false
  expect(await askBeforeWave({ ...wave, token: 'second' }, ports)).toEqual({ asked: 0 })
  expect([...tasks.answers]).toEqual([['second', 'WaveDenied']])
  expect(told).toMatchObject([{ what: 'asked' }, { what: 'denied', by: 'bob' }])
})

it('tells whoever answers when nobody waits any more, and closes the approval', async () => {
  await askBeforeWave(wave, ports)
  tasks.gone.add('first')
  const { judged = '' } = (await ledger.readApproval(id)) ?? {}
  const late = await recordDecision({ approval: id, judged, by: 'bob', decision: 'approve' }, ports)
  expect(late).toMatchObject({ rule: 'over', why: 'the rollout does not wait for people any more' })
  expect(await ledger.readApproval(id)).toMatchObject({ closed: { how: 'gone' }, decisions: [{ by: 'bob' }] })
  expect(told).toMatchObject([{ what: 'asked' }, { what: 'withdrawn' }])
})

it('asks again, and anew, where a person starts an execution for the same push', async () => {
  await askBeforeWave(wave, ports)
  const { judged = '' } = (await ledger.readApproval(id)) ?? {}
  await recordDecision({ approval: id, judged, by: 'bob', decision: 'deny' }, ports)
  expect(await askBeforeWave({ ...wave, token: 'second', execution: 'another' }, ports)).toEqual({ asked: 2 })
  expect(await ledger.readApproval(id)).toMatchObject({ decisions: [], token: 'second' })
  expect(await recordDecision({ approval: id, judged, by: 'carol', decision: 'approve' }, ports)).toMatchObject({
    rule: 'changed',
  })
})

it('asks again those who have not decided, and answers a later try at once where it was approved', async () => {
  const two = { ...ports, fleet: parseFleet({ ...written, waves: { approvers: ['ana', 'bob', 'carol', 'dora'] } }) }
  await askBeforeWave(wave, two)
  const asked = (await ledger.readApproval(id)) as Approval
  const decided = { by: 'bob', decision: 'approve' as const, at: 1_000 }
  await ledger.writeApproval({ ...asked, version: asked.version + 1, needed: 2, decisions: [decided] })
  approvers.sent.length = 0
  await askBeforeWave({ ...wave, token: 'second' }, two)
  expect([...tasks.answers]).toEqual([['second', 'succeeded']])
  expect(approvers.sent).toEqual([])
})

it('asks for two where only a sweep has seen the push: one of them may be who pushed', async () => {
  const found = { ...wave, push: { ...wave.push, pusher: unknownPusher } }
  expect(await askBeforeWave(found, ports)).toEqual({ asked: 3 })
  expect(await ledger.readApproval(id)).toMatchObject({ needed: 2 })
  ports = { ...ports, fleet: parseFleet({ ...written, waves: { approvers: ['Ana'] } }) }
  await expect(askBeforeWave(found, ports)).rejects.toThrow('two have to agree before wave 2')
})

it('fails where whoever pushed is the only one', async () => {
  ports = { ...ports, fleet: parseFleet({ ...written, waves: { approvers: ['Ana'] } }) }
  await expect(askBeforeWave(wave, ports)).rejects.toMatchObject({ name: 'NotApproved' })
  expect(approvers.sent).toEqual([])
})
