import fc from 'fast-check'
import { expect, it } from 'vitest'
import { outcomeOf } from '../../../functions/lib/approval/approval.ts'
import { recordDecision } from '../../../functions/lib/approval/record-decision.ts'
import { TaskTokensUnavailable } from '../../../functions/lib/approval/task-tokens.ts'
import { tendApprovals } from '../../../functions/lib/approval/tend-approvals.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import { LedgerUnavailable } from '../../../functions/lib/ledger/ledger.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { ApprovalPorts } from '../../../functions/lib/step.ts'
import { fingerprintOf } from '../../../functions/lib/unlock/approval/fingerprint.ts'
import { askForApproval } from '../../../functions/unlock-ask/ask.ts'
import { tofuDeployment } from '../../../infra/local/simulation/tofu/tofu-deployment.ts'
import { approvalFleet as fleet } from '../../fixtures/approval-fleet.ts'
import { askedAt, staleLock } from '../../fixtures/approvals.ts'
import { MemoryApprovers } from '../../fixtures/memory-approvers.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryTaskTokens } from '../../fixtures/memory-task-tokens.ts'
import { terraform } from '../../fixtures/raw-objects.ts'

const unlock = 'unlock-1'
const needed = 2

/** The lock as it is, taken again by somebody else who died, or not to be read. */
const looks = {
  same: staleLock.evidence.lock.parts,
  again: staleLock.evidence.lock.parts.map((part) => ({ ...part, version: 'v2' })),
}

/** Every call of a port may fail, before or after it has done its work: then whoever made it is dead. */
function failing<T extends object>(port: T, faults: Iterator<'before' | 'after' | undefined>, error: () => Error): T {
  return new Proxy(port, {
    get: (target, name) => {
      const found: unknown = Reflect.get(target, name)
      if (typeof found !== 'function') return found
      return async (...args: readonly unknown[]) => {
        const fault = faults.next().value
        if (fault === 'before') throw error()
        const answer: unknown = await found.apply(target, args)
        if (fault === 'after') throw error()
        return answer
      }
    },
  })
}

class World {
  readonly ledger = new MemoryLedger()
  readonly tasks = new MemoryTaskTokens()
  readonly ports: ApprovalPorts
  /** Without faults. */
  readonly sound: ApprovalPorts
  now = askedAt
  tokens = 0
  /** Who has pressed which button, for what he was shown; whether it counted or not. */
  readonly pressed: { readonly by: string; readonly decision: string; readonly judged: string }[] = []
  look: Observation = staleLock

  constructor(faults: Iterator<'before' | 'after' | undefined>) {
    const cluster = new MemoryCluster('staging', structuredClone(tofuDeployment()), terraform('vpc'))
    this.sound = {
      ...{ ledger: this.ledger, tasks: this.tasks, approvers: new MemoryApprovers(), fleet, log: silentLog },
      ...{ sliceMs: 0, approvalUrl: '/approve/', linkSecrets: async () => ({ current: 'x' }) },
      ...{ events: silentEvents, metrics: silentMetrics },
      clusters: { connect: async () => cluster },
      clock: { now: () => this.now, after: () => () => {} },
    }
    this.ports = {
      ...this.sound,
      ledger: failing(this.ledger, faults, () => new LedgerUnavailable('a call', new Error('it is down'))),
      tasks: failing(this.tasks, faults, () => new TaskTokensUnavailable('it is down')),
    }
  }

  async begin(): Promise<void> {
    await this.ledger.writeObservation(staleLock)
    const { key: place } = staleLock
    const lock = staleLock.evidence.lock.record?.id ?? ''
    const asked = { requestedBy: 'ana', reason: 'node lost', requestedAt: this.now }
    await this.ledger.writeUnlockRun({ unlock, cluster: 'staging', place, lock, ...asked }, 0)
  }

  /** A scan looks. */
  async see(what: 'same' | 'again' | 'unknown'): Promise<void> {
    const { evidence, judgement } = staleLock
    const lock = { ...evidence.lock, parts: looks[what === 'again' ? 'again' : 'same'] }
    const verdict = what === 'unknown' ? ('unknown' as const) : judgement.verdict
    this.look = {
      ...{ ...staleLock, version: this.look.version + 1, evidence: { ...evidence, lock } },
      judgement: { ...judgement, verdict },
    }
    await this.ledger.writeObservation(this.look)
  }

  async press(by: string, decision: 'approve' | 'deny', shown: 'now' | 'again', ports = this.ports): Promise<void> {
    const approval = await this.ledger.readApproval(unlock)
    const other = fingerprintOf(
      { ...staleLock, evidence: { ...staleLock.evidence, lock: { ...staleLock.evidence.lock, parts: looks.again } } },
      'targeted',
    )
    const judged = shown === 'now' ? (approval?.judged ?? '') : other
    this.pressed.push({ by, decision, judged })
    await recordDecision({ approval: unlock, by, decision, judged }, ports)
  }

  /** Two people, of whom none is ana, have agreed to what the scan saw last; or to what it could not read since. */
  isAgreed(): boolean {
    const judged = fingerprintOf({ ...this.look, judgement: staleLock.judgement }, 'targeted')
    const agreed = this.pressed.filter((each) => each.decision === 'approve' && each.judged === judged)
    return new Set(agreed.map(({ by }) => by).filter((by) => by === 'bob' || by === 'carol')).size >= needed
  }
}

const often = <Usual, Other>(usual: Usual, other: Other) => fc.constantFrom(usual, usual, usual, usual, usual, other)

const move = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'ask' as const }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('press' as const),
      by: fc.constantFrom('ana', 'bob', 'bob', 'carol', 'carol', 'mallory'),
      decision: often('approve' as const, 'deny' as const),
      shown: often('now' as const, 'again' as const),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'tend' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('see' as const),
      what: fc.constantFrom('same' as const, 'again' as const, 'unknown' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(15 * 3_600_000) }) },
)

it('whatever fails and whenever: no task goes on but by two people who agreed to this very lock, and none is forgotten', async () => {
  const faults = fc.infiniteStream(
    fc.constantFrom<('before' | 'after' | undefined)[]>('before', 'after', ...Array<undefined>(14).fill(undefined)),
  )
  let wentOn = 0
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 4, maxLength: 14 }), faults, async (moves, stream) => {
      const world = new World(stream)
      await world.begin()
      for (const made of [{ kind: 'ask' as const }, ...moves]) {
        const before = new Map(world.tasks.answers)
        const act = async () => {
          if (made.kind === 'ask') {
            world.tokens++
            return askForApproval({ unlock, token: `token ${world.tokens}`, needed }, world.ports)
          }
          if (made.kind === 'press') return world.press(made.by, made.decision, made.shown)
          if (made.kind === 'tend') return tendApprovals([world.look], world.ports)
          if (made.kind === 'see') return world.see(made.what)
          world.now += made.ms
        }
        await act().catch(() => {})
        for (const [token, answer] of world.tasks.answers) {
          if (before.has(token) || answer !== 'succeeded') continue
          wentOn++
          expect(world.isAgreed()).toBe(true)
        }
      }
      // Once nothing fails any more, the next scan tells what was decided.
      await tendApprovals([world.look], world.sound)
      const approval = await world.ledger.readApproval(unlock)
      if (!approval || approval.closed) return
      expect(outcomeOf(approval)).toBe('open')
      expect(world.now).toBeLessThan(approval.expiresAt)
    }),
    { numRuns: 1_000 },
  )
  // Else it would say nothing.
  expect(wentOn).toBeGreaterThan(20)
})
