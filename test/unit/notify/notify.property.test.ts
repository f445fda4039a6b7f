import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Closing, WaveApproval } from '../../../functions/lib/approval/approval.ts'
import { eventSource, type LockstepEvent, silentEvents } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { LedgerUnavailable } from '../../../functions/lib/ledger/ledger.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { CommitStatus } from '../../../functions/lib/notify/commit-status.ts'
import { messageOf } from '../../../functions/lib/notify/message-of.ts'
import { NotifierUnavailable } from '../../../functions/lib/notify/notifier-error.ts'
import { layerStatuses, pushStatus } from '../../../functions/lib/notify/rollout-statuses.ts'
import type { Outcome, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { rolloutEvents } from '../../../functions/lib/rollout/rollout-events.ts'
import { bindStep } from '../../../functions/lib/step.ts'
import { waveEvent } from '../../../functions/lib/waves/wave-event.ts'
import { step } from '../../../functions/notify/handler.ts'
import type { NotifyPorts } from '../../../functions/notify/notify.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { delivery, plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

const clusters = ['staging', 'production']
const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: clusters.map((name) => ({ name, eks: name, region: 'us-east-1', environment: name })),
  notifications: { github: { secret: 'github' } },
})

/** What goes wrong with one call of a port, or with the process that makes it. */
type Fault = 'refused' | 'answer lost' | 'dies before' | 'dies after' | undefined
const fault = fc.oneof(
  { weight: 12, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom<Fault>('refused', 'answer lost', 'dies before', 'dies after') },
)

const outcomes: readonly Outcome[] = ['succeeded', 'failed', 'superseded', 'released']
const history = fc.record({
  outcome: fc.constantFrom(...outcomes),
  heals: fc.boolean(),
  /** What was ready fails once more, and is ready again. */
  flaps: fc.boolean(),
  /** How often each event is delivered. */
  copies: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 8, maxLength: 8 }),
})
type History = typeof history extends fc.Arbitrary<infer T> ? T : never

/** What becomes of each wave that people are asked about. All but the last one are agreed to. */
const answers = fc.record({
  waves: fc.integer({ min: 0, max: 2 }),
  last: fc.constantFrom<Closing>('approved', 'denied', 'expired', 'stopped', 'ended'),
  copies: fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 4, maxLength: 4 }),
})
type Answers = typeof answers extends fc.Arbitrary<infer T> ? T : never

/** What a rollout's record says, one step after the other. */
function* lives(cluster: string, { outcome, heals, flaps }: History): Generator<Rollout> {
  const rollout = rolloutTo(cluster)
  const [network, apps] = [plannedObject('Terraform/a/network', 0), plannedObject('Kustomization/a/apps', 1)]
  yield rollout
  rollout.layers = [
    { index: 0, name: 'network', deadlineMs: 1 },
    { index: 1, name: 'apps', deadlineMs: 1 },
  ]
  rollout.objects = [network, apps]
  yield rollout
  const [first, second] = rollout.layers
  if (first) Object.assign(first, { openedAt: 1, settledAt: 2 })
  Object.assign(network, { phase: 'failed', detail: 'no quota' })
  rollout.heldSince = 3
  yield rollout
  if (heals || outcome === 'succeeded') {
    network.phase = 'ready'
    delete rollout.heldSince
    yield rollout
    if (second) Object.assign(second, { openedAt: 4, settledAt: 5 })
    apps.phase = flaps || outcome !== 'succeeded' ? 'failed' : 'ready'
    network.phase = flaps ? 'failed' : 'ready'
    if (flaps) rollout.heldSince = 6
    yield rollout
    delete rollout.heldSince
    if (outcome === 'succeeded') apps.phase = 'ready'
    network.phase = 'ready'
  }
  Object.assign(rollout, { outcome, endedAt: 9 })
  yield rollout
}

/** Lambda, EventBridge, GitHub and two channels, of which every call may fail, and every process die. */
class World {
  readonly ledger = new MemoryLedger()
  /** At GitHub: whatever was set last. */
  readonly statuses = new Map<string, CommitStatus>()
  readonly sent = new Map<string, number>()
  now = 0
  hasFailed = false
  readonly truth = new Map<string, Rollout>()
  /** The latest wave that people were asked about. */
  asked: WaveApproval | undefined
  readonly news: LockstepEvent[] = []
  private readonly scheduler: fc.Scheduler
  private readonly faults: Fault[]
  private waiting: object[] = []

  constructor(scheduler: fc.Scheduler, faults: readonly Fault[]) {
    this.scheduler = scheduler
    this.faults = [...faults]
  }

  /** One rollout from its beginning to its end, with its events delivered as they come. */
  async live(cluster: string, history: History): Promise<void> {
    const told = new Set<string>()
    let version = 0
    const copies = [...history.copies]
    const runs: Promise<void>[] = []
    for (const rollout of lives(cluster, history)) {
      await this.scheduler.schedule(Promise.resolve(), `${cluster} goes on`)
      version = await this.ledger.writeRollout(rollout, version)
      this.truth.set(cluster, structuredClone(rollout))
      for (const event of rolloutEvents(structuredClone(rollout)).filter(({ id }) => !told.has(id))) {
        told.add(event.id)
        const { type, ...detail } = event
        for (let copy = copies.shift() ?? 1; copy > 0; copy--) {
          runs.push(this.invoke({ source: eventSource, 'detail-type': type, detail }))
        }
      }
    }
    await Promise.all(runs)
  }

  /** People are asked about one wave after the other. */
  async ask({ waves, last, copies }: Answers): Promise<void> {
    const { push } = rolloutTo('staging')
    const left = [...copies]
    const runs: Promise<void>[] = []
    for (let wave = 1; wave <= waves; wave++) {
      const how = wave === waves ? last : 'approved'
      const decision = { approved: 'approve', denied: 'deny' }[how as string]
      const decisions = decision === undefined ? [] : [{ by: 'bob', at: 3, decision: decision as 'approve' | 'deny' }]
      const asked = waveApprovalOf({ push, wave })
      const steps = [asked, { ...asked, version: 2, decisions, closed: { how, at: 4 } }]
      for (const approval of steps) {
        await this.scheduler.schedule(Promise.resolve(), `wave ${wave} goes on`)
        await this.ledger.writeApproval(approval)
        this.asked = approval
        const { type, ...detail } = waveEvent(approval)
        this.news.push({ type, ...detail })
        for (let copy = left.shift() ?? 1; copy > 0; copy--) {
          runs.push(this.invoke({ source: eventSource, 'detail-type': type, detail }))
        }
      }
    }
    await Promise.all(runs)
  }

  end(outcome: Outcome | 'stopped'): Promise<void> {
    const status = { failed: 'FAILED', stopped: 'ABORTED' }[outcome as string] ?? 'SUCCEEDED'
    const { push } = rolloutTo('staging')
    const detail = { executionArn: 'arn', name: delivery, status, startDate: 0, input: JSON.stringify(push) }
    return this.invoke({ source: 'aws.states', detail: { ...detail, output: JSON.stringify({ outcome }) } })
  }

  /** Lambda tries again, and a person what is left. */
  async retryAll(): Promise<void> {
    for (let rounds = 0; this.waiting.length > 0; rounds++) {
      expect(rounds).toBeLessThan(200)
      this.now += 61_000
      const again = this.waiting
      this.waiting = []
      await this.scheduler.waitFor(Promise.all(again.map((event) => this.invoke(event))))
    }
  }

  private async invoke(event: object): Promise<void> {
    await this.scheduler.schedule(Promise.resolve(), 'delivery')
    let isDead = false
    const call = async <T>(effect: () => Promise<T>, failure: () => Error): Promise<T> => {
      await this.scheduler.schedule(Promise.resolve(), 'call')
      const fault = isDead ? 'dies before' : this.faults.shift()
      if (fault !== undefined) this.hasFailed = true
      if (fault === 'dies before') isDead = true
      if (fault === 'dies before' || fault === 'refused') throw failure()
      const answer = await effect()
      if (fault === undefined) return answer
      if (fault === 'dies after') isDead = true
      throw failure()
    }
    const unavailable = () => new NotifierUnavailable('a stand-in', 'a test')
    const ledger = new Proxy(this.ledger, {
      get:
        (target, name: keyof MemoryLedger) =>
        (...args: never[]) =>
          call(
            () => (target[name] as (...all: never[]) => Promise<unknown>).apply(target, args),
            () => new LedgerUnavailable(String(name), new Error('it is down')),
          ),
    })
    const channel = (name: string) => ({
      name,
      send: ({ id }: { id: string }) =>
        call(async () => void this.sent.set(`${name} ${id}`, (this.sent.get(`${name} ${id}`) ?? 0) + 1), unavailable),
    })
    const ports: NotifyPorts = {
      ...{ fleet, ledger, log: silentLog, events: silentEvents, metrics: silentMetrics },
      clock: { now: () => this.now, after: () => () => {} },
      channels: [channel('sns'), channel('slack')],
      statuses: {
        set: (_, context, status) => call(async () => void this.statuses.set(context, status), unavailable),
      },
      linkOf: () => undefined,
      unlockArn: (unlock) => unlock,
    }
    await bindStep(step, () => ports)(event).catch(() => this.waiting.push(event))
  }
}

const rank = (outcome: Outcome) => ['succeeded', 'released', 'failed', 'superseded'].indexOf(outcome)

test('whatever comes twice, out of order, late or at the same time, and whatever fails on the way: in the end all is told, and every status is the true one', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fault, { maxLength: 150 }),
      fc.tuple(history, history),
      answers,
      async (scheduler, faults, [staging, production], wave) => {
        const world = new World(scheduler, faults)
        const worst = rank(staging.outcome) > rank(production.outcome) ? staging.outcome : production.outcome
        const ended =
          wave.waves === 0 || wave.last === 'approved' ? worst : wave.last === 'stopped' ? 'stopped' : 'failed'
        const lives = [world.live('staging', staging), world.live('production', production), world.ask(wave)]
        await scheduler.waitFor(Promise.all([...lives, world.end(ended)]))
        await world.retryAll()

        const expected = new Map<string, unknown>()
        const bad: Record<string, Exclude<Outcome, 'succeeded'>> = {}
        for (const [cluster, rollout] of world.truth) {
          for (const [layer, status] of layerStatuses(rollout)) expected.set(`lockstep/${cluster}/${layer}`, status)
          if (rollout.outcome && rollout.outcome !== 'succeeded') bad[cluster] = rollout.outcome
          for (const event of rolloutEvents(rollout)) expectTold(world, event)
        }
        for (const event of world.news) expectTold(world, event)
        expected.set('lockstep', pushStatus({ bad, ended, asked: world.asked }))
        expect(Object.fromEntries(world.statuses)).toEqual(Object.fromEntries(expected))
        const greens = [...world.statuses].filter(([, { state }]) => state === 'success').map(([context]) => context)
        if (ended !== 'succeeded' || worst !== 'succeeded') expect(greens).not.toContain('lockstep')
      },
    ),
    { numRuns: 150 },
  )
})

/** Once; more often only where it could not be written down that it was. */
function expectTold({ sent, hasFailed }: World, event: LockstepEvent): void {
  if (!messageOf(event, { fleet, linkOf: () => undefined, unlockArn: () => '' })) return
  for (const channel of ['sns', 'slack']) {
    const times = sent.get(`${channel} ${event.id}`) ?? 0
    expect(times).toBeGreaterThanOrEqual(1)
    if (!hasFailed) expect(times).toBe(1)
  }
}
