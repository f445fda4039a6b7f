import * as z from 'zod'
import { type Clock, sleep } from '../../../../functions/lib/clock.ts'
import type { KubernetesObject, ObjectStore } from '../../kubernetes/object-store.ts'
import type { Durations } from '../durations.ts'
import type { Failure, Faults } from '../faults.ts'
import { keyOf } from '../kinds.ts'
import { secondsAnnotation } from '../reconcile-loop.ts'
import { backendOf } from './backend-config.ts'
import type { Infrastructure } from './infrastructure.ts'
import { type LockOperation, lockHeldMessage, newLockRecord } from './lock-record.ts'
import { PlanStore, planObjectsOf, planOwner } from './plan-store.ts'
import { readablePlan } from './readable-plan.ts'
import type { InitRequest } from './runner.ts'
import {
  appliedRevision,
  appliedState,
  destroyedState,
  emptyState,
  type StateBackend,
  type TofuState,
} from './state-backend.ts'
import type { StateBackends } from './state-backends.ts'
import { mayApply, planId, type TerraformSpec, terraformSpecSchema } from './terraform-object.ts'
import { StateLocked, type Tofu } from './tofu.ts'

/** What all of a simulated cluster's tofus share. */
export interface TofuWorld {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly durations: Durations
  readonly faults: Faults
  readonly backends: StateBackends
  readonly infrastructure: Infrastructure
}

type Phase = 'init' | 'plan' | 'apply'

const phaseOf: Record<string, Phase> = {
  TFExecInitFailed: 'init',
  TFExecPlanFailed: 'plan',
  DriftDetectionFailed: 'plan',
  TFExecApplyFailed: 'apply',
}

const planFileSchema = z.object({
  revision: z.string(),
  destroy: z.boolean(),
  serial: z.number(),
  lineage: z.string(),
})
type PlanFile = z.infer<typeof planFileSchema>

/**
 * tofu without infrastructure: it takes the time that a clock says, fails as faults say, and keeps a real state with a
 * real lock. `killed` is the end of its process: nothing more is written then, and a lock that it holds stays.
 */
export class VirtualTofu implements Tofu {
  private readonly world: TofuWorld
  private readonly request: InitRequest
  private readonly host: string
  private readonly killed: AbortSignal
  private readonly key: string
  private readonly spec: TerraformSpec
  private readonly backend: StateBackend
  private readonly plans: PlanStore
  private readonly failure: Failure | undefined
  private applies = false
  private planned: PlanFile | undefined

  /** `host` is the name of the machine, as in a lock record. */
  constructor(world: TofuWorld, request: InitRequest, host: string, killed: AbortSignal) {
    const { namespace, name } = request.object.metadata
    this.world = world
    this.request = request
    this.host = host
    this.killed = killed
    this.key = keyOf(request.object as KubernetesObject)
    this.spec = terraformSpecSchema.parse(request.object.spec)
    const { workspace, backendConfig } = this.spec
    this.backend = world.backends.of(this.key, backendOf({ namespace, name, workspace, backendConfig }))
    this.plans = new PlanStore(planObjectsOf(world.store), planOwner(request, workspace))
    this.failure = world.faults.takeFailure(this.key)
  }

  async init(signal: AbortSignal): Promise<void> {
    const state = await this.backend.read()
    const changes = this.hasChanges(state, this.spec.destroy)
    this.applies = changes && mayApply(this.spec, planId(this.request.revision))
    if (!state && this.backend.writesAtInit) {
      await this.locked('init', () => this.backend.write(emptyState()))
    }
    await this.work(this.world.durations.tofuInit, signal)
    this.failIn('init')
  }

  async forceUnlock(lockId: string): Promise<void> {
    try {
      await this.backend.release(lockId)
    } catch (error) {
      throw new Error(`Failed to unlock state: ${error instanceof Error ? error.message : error}`)
    }
  }

  async plan(purpose: 'apply' | 'drift', signal: AbortSignal): Promise<boolean> {
    const destroy = purpose === 'apply' && this.spec.destroy
    const plan = async () => {
      const extra = this.applies ? 0 : this.world.faults.delayOf(this.key)
      if (!this.applies) await this.held(signal)
      await this.work(this.world.durations.tofuPlan, signal, extra)
      this.failIn('plan')
      const state = await this.backend.read()
      const { serial = 0, lineage = '' } = state ?? {}
      this.planned = { revision: this.request.revision, destroy, serial, lineage }
      return this.hasChanges(state, destroy)
    }
    return this.spec.plan?.lock === false ? plan() : this.locked('OperationTypePlan', plan)
  }

  async savePlan(plan: string): Promise<void> {
    const { storeReadablePlan: how } = this.spec
    const before = appliedRevision(await this.backend.read())
    const after = this.planned?.destroy ? undefined : this.request.revision
    const readable = how === 'none' ? undefined : readablePlan(how, before, after)
    // No two plan files are the same: they say when they were made.
    const content = { ...this.planned, madeAt: this.world.clock.now() }
    await this.plans.save(plan, Buffer.from(JSON.stringify(content)), readable)
  }

  async loadPlan(plan: string): Promise<void> {
    this.planned = planFileSchema.parse(JSON.parse((await this.plans.load(plan)).toString()))
  }

  async apply(signal: AbortSignal): Promise<void> {
    await this.locked('OperationTypeApply', async () => {
      const before = (await this.backend.read()) ?? emptyState()
      const plan = this.planned
      if (plan && (plan.serial !== before.serial || (before.serial > 0 && plan.lineage !== before.lineage))) {
        throw new Error(
          'Saved plan is stale: the state was changed by another operation after the plan was created, so the given plan file can no longer be applied.',
        )
      }
      try {
        await this.held(signal)
        await this.work(this.world.durations.tofuApply, signal, this.world.faults.delayOf(this.key))
      } catch (error) {
        await this.taint(before)
        throw error
      }
      this.failIn('apply')
      const applied = () => appliedState(before, plan?.revision ?? this.request.revision)
      await this.backend.write(plan?.destroy ? destroyedState(before) : applied())
      this.world.infrastructure.restore(this.key)
    })
  }

  async outputs(signal: AbortSignal): Promise<void> {
    await this.work(this.world.durations.appliedToReady, signal)
  }

  private hasChanges(state: TofuState | undefined, destroy: boolean): boolean {
    if (destroy) return (state?.resources.length ?? 0) > 0
    return this.world.infrastructure.hasChanges(this.key, this.request.revision, state)
  }

  /** An interrupted apply ends in order: what was in work is written to the state as broken. */
  private async taint(before: TofuState): Promise<void> {
    await sleep(this.world.clock, this.world.durations.tofuInterrupt, this.killed)
    this.throwIfEnded()
    await this.backend.write(appliedState(before, appliedRevision(before), true))
  }

  private async locked<T>(operation: LockOperation, work: () => Promise<T>): Promise<T> {
    const record = newLockRecord(operation, `runner@${this.host}`, this.backend.path, this.world.clock.now())
    const holder = await this.backend.acquire(record)
    if (holder) throw new StateLocked(lockHeldMessage(holder), holder)
    try {
      return await work()
    } finally {
      // A process that was killed releases nothing.
      if (!this.killed.aborted) await this.backend.release(record.ID)
    }
  }

  /** Hangs here while a fault holds the object. */
  private async held(signal: AbortSignal): Promise<void> {
    const released = this.world.faults.takeHold(this.key)
    if (released) await Promise.race([released, aborted(signal), aborted(this.killed)])
    this.throwIfEnded(signal)
  }

  /** `usual` milliseconds at the pace that the object's annotation asks for, and `extra` ones. */
  private async work(usual: number, signal: AbortSignal, extra = 0): Promise<void> {
    const ms = usual * this.pace() + extra
    if (ms > 0) await sleep(this.world.clock, ms, AbortSignal.any([signal, this.killed]))
    this.throwIfEnded(signal)
  }

  private throwIfEnded(signal?: AbortSignal): void {
    if (this.killed.aborted) throw new Error('signal: killed')
    if (signal?.aborted) throw new Error('signal: interrupt')
  }

  /** Scales the usual phases to the total time that the object's annotation asks for. */
  private pace(): number {
    const { statusGap, runnerStart, tofuInit, tofuPlan, tofuApply, appliedToReady } = this.world.durations
    const seconds = Number(this.request.object.metadata.annotations[secondsAnnotation])
    if (!Number.isFinite(seconds) || seconds < 0) return 1
    const usual = tofuInit + tofuPlan + (this.applies ? tofuApply + appliedToReady : 0)
    return Math.max(0, seconds * 1_000 - statusGap - runnerStart) / usual
  }

  private failIn(phase: Phase): void {
    if (!this.failure || (phaseOf[this.failure.reason ?? ''] ?? 'plan') !== phase) return
    throw new Error(this.failure.message ?? `error running ${phase}: exit status 1`)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
