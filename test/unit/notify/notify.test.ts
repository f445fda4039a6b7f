import { beforeEach, describe, expect, test } from 'vitest'
import { eventSource, type LockstepEvent, silentEvents } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { NotifierRefused } from '../../../functions/lib/notify/notifier-error.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { rolloutEvents } from '../../../functions/lib/rollout/rollout-events.ts'
import { bindStep } from '../../../functions/lib/step.ts'
import { waveEvent } from '../../../functions/lib/waves/wave-event.ts'
import { step } from '../../../functions/notify/handler.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { delivery, plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

let ledger: MemoryLedger
/** `github.com/my-org/fleet-infra lockstep`: what was set, and where. */
let set: string[]
let sent: string[]
let refuses: string | undefined
beforeEach(() => {
  ledger = new MemoryLedger()
  set = []
  sent = []
  refuses = undefined
})

const channel = (name: string) => ({
  name,
  send: async ({ title }: { title: string }) => {
    if (refuses === name) throw new NotifierRefused(name, 'no_service', 'Look.')
    sent.push(`${name}: ${title}`)
  },
})

function notify(payload: object, github: object = {}, branches = ['main']): Promise<unknown> {
  const fleet = parseFleet({
    repositories: [{ name: 'my-org/fleet-infra', branches }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'staging' }],
    notifications: { github: { secret: 'github', ...github } },
  })
  const told = bindStep(step, () => ({
    ...{ fleet, ledger, log: silentLog, events: silentEvents, metrics: silentMetrics },
    clock: { now: () => 0, after: () => () => {} },
    channels: [channel('sns'), channel('slack')],
    statuses: {
      set: async ({ host, repository }, context) => void set.push(`${host}/${repository} ${context}`),
    },
    linkOf: (arn) => arn,
    unlockArn: (unlock) => unlock,
  }))
  return told(payload)
}

const asEvent = ({ type, ...detail }: LockstepEvent) => ({ source: eventSource, 'detail-type': type, detail })
const startOf = (rollout: Rollout) => asEvent(rolloutEvents(rollout)[0] as LockstepEvent)
const endOf = (input: unknown) => ({
  source: 'aws.states',
  detail: { executionArn: 'arn', name: delivery, status: 'FAILED', startDate: 0, input: JSON.stringify(input) },
})

/** A rollout as somebody would have it who may put events on the bus, or start executions. */
function rolloutFrom(repository: Rollout['push']['repository']): Rollout {
  const rollout = rolloutTo('staging')
  rollout.push.repository = repository
  rollout.layers = [{ index: 0, name: 'apps', deadlineMs: 1 }]
  rollout.objects = [plannedObject('Kustomization/a/apps', 0)]
  return rollout
}

const ours = { host: 'github.com', name: 'my-org/fleet-infra' }
const foreign = [
  ['another host', { host: 'github.example.com', name: 'my-org/fleet-infra' }],
  ['another repository', { host: 'github.com', name: 'my-org/payroll' }],
] as const

describe('statuses', () => {
  test('of a rollout are those of its layers and of the push', async () => {
    const rollout = rolloutFrom(ours)
    await ledger.writeRollout(rollout, 0)
    await notify(startOf(rollout))
    expect(set.sort()).toEqual(
      ['lockstep', 'lockstep/staging/apps'].map((context) => `github.com/my-org/fleet-infra ${context}`),
    )
  })

  test('of layers are left out where the fleet says so', async () => {
    const rollout = rolloutFrom(ours)
    await ledger.writeRollout(rollout, 0)
    await notify(startOf(rollout), { layers: false })
    expect(set).toEqual(['github.com/my-org/fleet-infra lockstep'])
  })

  test('of a push are there from when people are asked before its first wave', async () => {
    const asked = waveApprovalOf({ push: rolloutFrom(ours).push })
    await ledger.writeApproval(asked)
    await notify(asEvent(waveEvent(asked)))
    expect(set).toEqual(['github.com/my-org/fleet-infra lockstep'])
    const board = await ledger.readStatusBoard(delivery, '')
    expect(board?.posted.lockstep).toEqual({
      ...{ state: 'pending', description: 'Waits for people to agree to wave 1 of 2', url: asked.execution },
    })
  })

  test('have the branch in their names where the fleet follows several, which may be at one commit', async () => {
    await notify(startOf(rolloutFrom(ours)), {}, ['main', 'next'])
    expect(set).toEqual(['github.com/my-org/fleet-infra lockstep (main)'])
  })

  test('of layers that a later plan has not any more do not stay as they were', async () => {
    const rollout = rolloutFrom(ours)
    const version = await ledger.writeRollout(rollout, 0)
    await notify(startOf(rollout))
    rollout.layers = [{ index: 0, name: 'others', deadlineMs: 1 }]
    await ledger.writeRollout({ ...rollout, outcome: 'failed', endedAt: 1 }, version)
    set = []
    await notify(asEvent(rolloutEvents({ ...rollout, outcome: 'failed' }).at(-1) as LockstepEvent))
    expect(set).toContain('github.com/my-org/fleet-infra lockstep/staging/apps')
  })

  test('of a rollout that its own twin has overtaken are left to the twin', async () => {
    const rollout: Rollout = { ...rolloutFrom(ours), outcome: 'superseded', endedAt: 1 }
    const { repository, branch, before, after, pushedAt } = rollout.push
    await ledger.writeRollout(rollout, 0)
    const end = asEvent(rolloutEvents(rollout).at(-1) as LockstepEvent)
    const newest = { execution: 'arn', before, after, pushedAt }
    const claim = { cluster: 'staging', branch: branchOf({ repository, branch }), leaseUntil: 0 }
    await ledger.writeClaim({ ...claim, version: 1, newest: { ...newest, rollout: 'a-twin.staging' } })
    await notify(end)
    expect(set).toEqual([])
    // It was itself the newest, and somebody else has overtaken it.
    await ledger.writeClaim({ ...claim, version: 2, newest: { ...newest, rollout: rollout.id } })
    await notify(end)
    expect(set).toHaveLength(2)
  })

  test.each(foreign)('are not sent to %s than the fleet names, which would get the token', async (_, repository) => {
    const rollout = rolloutFrom(repository)
    await notify(startOf(rollout))
    await ledger.writeRollout(rollout, 0)
    await notify(startOf(rollout))
    await notify(endOf(rollout.push))
    await notify(asEvent(waveEvent(waveApprovalOf({ push: rollout.push }))))
    expect(set).toEqual([])
    await notify(asEvent(waveEvent(waveApprovalOf({ push: rolloutFrom(ours).push }))))
    expect(set.splice(0)).toHaveLength(1)
    await notify(endOf(rolloutFrom(ours).push))
    expect(set).toHaveLength(1)
  })
})

describe('the end of a push', () => {
  test('is told once, and of a push to the fleet only', async () => {
    await notify(endOf(rolloutFrom(ours).push))
    await notify(endOf(rolloutFrom(ours).push))
    await notify(endOf({ no: 'push' }))
    expect(sent).toEqual(['sns', 'slack'].map((name) => `${name}: Push of bbbbbbbb has not reached all clusters`))
  })

  test.each(foreign)('of %s than the fleet names is not told', async (_, repository) => {
    await notify(endOf(rolloutFrom(repository).push))
    expect(sent).toEqual([])
  })
})

describe('a channel that refuses', () => {
  test('keeps no other from it, and is the only one that is tried again', async () => {
    refuses = 'slack'
    const event = startOf(rolloutFrom(ours))
    await expect(notify(event)).rejects.toThrow('slack: slack refused a notification (no_service)')
    expect([sent, set]).toEqual([[expect.stringContaining('sns: ')], ['github.com/my-org/fleet-infra lockstep']])
    refuses = undefined
    await expect(notify(event)).resolves.toEqual({ told: ['slack', 'github'] })
    expect(sent.map((text) => text.split(':')[0])).toEqual(['sns', 'slack'])
    expect(set).toHaveLength(1)
  })
})
