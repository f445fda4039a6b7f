import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { gateAnnotation, unlockAnnotation } from '../../../functions/lib/flux/annotations.ts'
import { builtinResources, resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import { makeChange } from '../../../functions/lib/unlock/hold/change.ts'
import { writeOnDeployment } from '../../../functions/lib/unlock/hold/deployment-intent.ts'
import type { Intent } from '../../../functions/lib/unlock/hold/intent.ts'
import {
  type Restored,
  type RestorePorts,
  restore,
  restoreAbandoned,
  stragglerMs,
} from '../../../functions/lib/unlock/hold/restore.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import {
  type Before,
  controller,
  type Flag,
  lock,
  type Rung,
  type Suspendable,
  still,
  storedPlan,
  suspendable,
  type TfState,
  UnlockWorld,
  unlock,
  vpc,
} from './unlock-world.ts'

/** What somebody else does. Two steps of one are there and back: the value is as before, and yet somebody has decided. */
type Act =
  | { readonly do: 'suspend'; readonly object: Suspendable; readonly steps: readonly Flag[] }
  | { readonly do: 'scale'; readonly steps: readonly number[] }
  | { readonly do: 'tfstate'; readonly set: TfState }
  | { readonly do: 'make again'; readonly object: Suspendable | typeof controller }
  | { readonly do: 'gate'; readonly object: Suspendable }
  | { readonly do: 'heartbeat'; readonly object: Suspendable | typeof controller }
  | { readonly do: 'remove the annotation' }

interface Death {
  /** At which call of the ledger or the cluster. */
  readonly at: number
  /** With the call's effect done, or without. */
  readonly after: boolean
}

interface Scenario {
  readonly before: Before
  readonly rung: Rung
  /** Where the unlock dies; later than its last call it does not. */
  readonly death: Death
  /** Where restores die, one after the other, before one lives. */
  readonly restores: readonly Death[]
  readonly acts: readonly { readonly at: number; readonly act: Act }[]
  /** The ledger has lost everything: there is only what stands on the Deployment. */
  readonly ledgerLost: boolean
}

const flag = fc.constantFrom<Flag>(null, false, true)
/** One of them more often, so that what others do to an object meets. */
const anyObject = fc.constantFrom(...suspendable, vpc, vpc)
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    ...{ do: fc.constant('suspend' as const), object: anyObject },
    steps: fc.array(flag, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    do: fc.constant('scale' as const),
    steps: fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    do: fc.constant('tfstate' as const),
    set: fc.constantFrom<TfState>({ forceUnlock: 'auto' }, { lockIdentifier: 'another' }, { lockTimeout: '1m' }),
  }),
  fc.record({ do: fc.constant('make again' as const), object: fc.constantFrom(...suspendable, controller) }),
  fc.record({ do: fc.constant('gate' as const), object: anyObject }),
  fc.record({ do: fc.constant('heartbeat' as const), object: fc.constantFrom(...suspendable, controller) }),
  fc.record({ do: fc.constant('remove the annotation' as const) }),
)
const death = fc.record({ at: fc.nat({ max: 40 }), after: fc.boolean() })

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  before: fc.record({
    replicas: fc.integer({ min: 1, max: 3 }),
    suspend: fc.tuple(flag, flag, flag, flag).map((flags) => {
      return Object.fromEntries(suspendable.map((key, index) => [key, flags[index] ?? null])) as Before['suspend']
    }),
    tfstate: fc.constantFrom<TfState | null>(
      null,
      { lockTimeout: '5m' },
      { forceUnlock: 'auto' },
      { forceUnlock: 'no' },
    ),
    planned: fc.boolean(),
    met: fc.constantFrom('', lock, 'another-lock'),
  }),
  rung: fc.constantFrom<Rung>('controller-assisted', 'targeted', 'quiesce', 'quiesce'),
  ...{ death, restores: fc.array(death, { maxLength: 3 }) },
  acts: fc.array(fc.record({ at: fc.oneof(fc.nat({ max: 12 }), fc.nat({ max: 60 })), act }), { maxLength: 4 }),
  ledgerLost: fc.boolean(),
})

class Died extends Error {}

/** A scenario as it is played: whoever calls may die at any call, and others act between any two. */
class Play {
  readonly world: UnlockWorld
  readonly intent: Intent
  readonly troubles: string[] = []
  private readonly scenario: Scenario
  private ledger = new MemoryLedger(still)
  /** What each field is in the end: as it was, or as somebody else left it. */
  private readonly wanted: Record<string, unknown>
  private now = 1_000
  private readonly recorded = new Set<string>()
  private calls = 0
  private own = 0
  private dies: Death | undefined
  private actor: 'unlock' | 'restore' | 'others' = 'others'
  private worked: boolean
  private seen: Record<string, unknown>

  constructor(scenario: Scenario) {
    this.scenario = scenario
    this.world = new UnlockWorld(scenario.before)
    this.intent = this.world.intent(scenario.rung)
    this.wanted = this.fields()
    this.seen = this.fields()
    this.worked = this.world.works()
    for (const resource of [builtinResources.Deployment, ...Object.values(resources)]) {
      this.world.store.subscribe(resource, () => this.look())
    }
  }

  async run(): Promise<void> {
    const { death, restores, ledgerLost } = this.scenario
    await this.alive('unlock', death, () => this.unlock())
    if (ledgerLost) this.ledger = new MemoryLedger(still)
    for (const each of restores) await this.alive('restore', each, () => this.restore())
    const last = await this.alive('restore', undefined, () => this.restore())
    expect(last?.failed ?? []).toEqual([])
    // The first one leaves it open for what may still arrive.
    await this.alive('restore', undefined, () => this.restore())
  }

  /** What is not as it must be. */
  async wrong(): Promise<unknown> {
    const annotation = this.world.get(controller)?.metadata.annotations?.[unlockAnnotation]
    const open = (await this.ledger.readUnlock('staging'))?.intent
    const isRight = isDeepStrictEqual(this.fields(), this.wanted) && !annotation && !open && this.troubles.length === 0
    return isRight ? undefined : { is: this.fields(), wanted: this.wanted, annotation, open, troubles: this.troubles }
  }

  private async unlock(): Promise<void> {
    const ports = this.ports()
    if (this.intent.changes.length === 0) return
    const { cluster, ledger } = ports
    expect(await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: 10 ** 6 })).toBe(true)
    expect(await ledger.writeIntent(this.intent)).toBe(true)
    if (await writeOnDeployment(cluster, this.intent)) {
      for (const change of this.intent.changes) {
        const { is } = await makeChange(cluster, change, async () => {})
        if (is !== 'before' && is !== 'ours') break
      }
    }
    await restore(this.intent, ports)
    await ledger.endUnlock('staging', unlock)
  }

  private restore(): Promise<Restored | undefined> {
    // Late enough for all that was sent before to have arrived.
    this.now += stragglerMs
    return restoreAbandoned(this.ports(), { ended: unlock })
  }

  private ports(): RestorePorts {
    return {
      cluster: this.mortal(this.world.cluster),
      ledger: this.mortal(this.recording()),
      clock: { ...still, now: () => this.now },
    }
  }

  private recording(): Ledger {
    const { ledger, recorded } = this
    return new Proxy<Ledger>(ledger, {
      get: (_, name: keyof Ledger) => {
        if (name !== 'appendAudit') return ledger[name].bind(ledger)
        return (record: Parameters<Ledger['appendAudit']>[0]) => {
          recorded.add(record.id)
          return ledger.appendAudit(record)
        }
      },
    })
  }

  private async alive<T>(who: 'unlock' | 'restore', dies: Death | undefined, work: () => Promise<T>) {
    this.own = 0
    this.dies = dies
    this.actor = who
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Died)) throw error
      return undefined
    } finally {
      this.actor = 'others'
    }
  }

  private mortal<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => this.called(() => value.apply(target, args))
      },
    })
  }

  private async called<T>(call: () => Promise<T>): Promise<T> {
    const isLast = this.own++ === this.dies?.at
    this.othersAct(this.calls++)
    if (isLast && !this.dies?.after) throw new Died()
    const answer = await call()
    if (isLast) throw new Died()
    return answer
  }

  private othersAct(at: number): void {
    const { actor } = this
    this.actor = 'others'
    for (const each of this.scenario.acts) if (each.at === at) this.act(each.act)
    this.actor = actor
  }

  private act(act: Act): void {
    const { world } = this
    if (act.do === 'suspend') for (const step of act.steps) this.suspend(act.object, step)
    if (act.do === 'scale') {
      for (const replicas of act.steps)
        world.edit(controller, 'kubectl', ({ spec }) => Object.assign(spec, { replicas }))
    }
    if (act.do === 'tfstate') {
      world.edit(vpc, 'kubectl', ({ spec }) => Object.assign(spec, { tfstate: { ...spec.tfstate, ...act.set } }))
    }
    if (act.do === 'make again') this.makeAgain(act.object)
    if (act.do === 'gate' && !world.get(act.object)?.spec.suspend) this.gate(act.object)
    if (act.do === 'heartbeat') {
      world.edit(act.object, 'controller', (object) => {
        object.status = { ...object.status, beat: this.calls }
      })
    }
    if (act.do === 'remove the annotation' && !this.scenario.ledgerLost) {
      world.edit(controller, 'kubectl', ({ metadata }) => delete metadata.annotations?.[unlockAnnotation])
    }
  }

  private suspend(object: Suspendable, to: Flag): void {
    this.world.edit(object, 'kubectl', ({ spec }) =>
      to === null ? delete spec.suspend : Object.assign(spec, { suspend: to }),
    )
  }

  /** Of the Deployment only where the ledger remembers: what stood on it alone is gone with it. */
  private makeAgain(object: Suspendable | typeof controller): void {
    if (object === controller && this.scenario.ledgerLost) return
    const spec = this.world.get(object)?.spec
    this.world.delete(object)
    this.world.create(object, spec)
  }

  private gate(object: Suspendable): void {
    this.world.edit(object, 'lockstep', ({ metadata, spec }) => {
      metadata.annotations = {
        ...metadata.annotations,
        [gateAnnotation]: 'rollout-7 github.com/my-org/fleet-infra#main',
      }
      spec.suspend = true
    })
  }

  private fields(): Record<string, unknown> {
    const { lockTimeout, ...force } = this.world.get(vpc)?.spec.tfstate ?? {}
    return {
      ...Object.fromEntries(suspendable.map((key) => [`${key} suspend`, this.world.get(key)?.spec.suspend ?? null])),
      [`${controller} replicas`]: this.world.get(controller)?.spec.replicas,
      [`${vpc} forceUnlock`]: force,
      [`${vpc} lockTimeout`]: lockTimeout,
      [`${vpc} empty tfstate`]: isDeepStrictEqual(this.world.get(vpc)?.spec.tfstate, {}),
    }
  }

  /** After every write of anybody. */
  private look(): void {
    const fields = this.fields()
    const changed = Object.keys(fields).filter((field) => !isDeepStrictEqual(fields[field], this.seen[field]))
    this.seen = fields
    const works = this.world.works()
    const isBack = works && !this.worked
    this.worked = works
    if (this.actor === 'others') {
      for (const field of changed) this.wanted[field] = fields[field]
      return
    }
    const { plan, lock: met } = this.world.get(vpc)?.status ?? {}
    if (isBack && plan?.pending === storedPlan) this.troubles.push('the stored plan is applied')
    if (isBack && met?.pending === lock) this.troubles.push('the controller still thinks of the lock')
    if (this.actor !== 'restore') return
    const recorded = changed.filter((field) => this.recorded.has(`undo/${field.replace(' ', '/')}`))
    if (recorded.length < changed.length) this.troubles.push(`not recorded: ${changed.join(', ')}`)
  }
}

test('whoever dies wherever, and whatever others do: what nobody else touched is as it was, and what they did stays', async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const play = new Play(scenario)
      await play.run()
      expect(await play.wrong()).toBeUndefined()
    }),
    { numRuns: 1_000 },
  )
})
