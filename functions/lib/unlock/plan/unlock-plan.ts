import type { Fleet } from '../../fleet.ts'
import type { LockPlace } from '../../locks/backends/lock-place.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import type { Fence } from '../run/unlock-run.ts'
import type { ClusterNow } from './cluster-now.ts'
import { type Refused, refusal } from './refusal.ts'
import { chooseRung, type RungChoice } from './rung.ts'
import { caseOf, type UnlockCase } from './unlock-case.ts'
import { notesOf } from './unlock-notes.ts'
import { estimateOf, type TimeEstimate, type UnlockStep } from './unlock-step.ts'
import { fenceOf, holdsOf, stepsOf } from './unlock-steps.ts'
import { type Approvals, unlockableOf } from './unlockable.ts'

/** What an unlock would do. */
export interface UnlockPlan extends RungChoice {
  readonly outcome: 'planned'
  readonly cluster: string
  /** `Terraform/flux-system/vpc` */
  readonly object: string
  /** The lock's id. */
  readonly lock: string
  readonly approvals: Approvals
  readonly steps: readonly UnlockStep[]
  readonly estimate: TimeEstimate
  /** What a person should know beside. */
  readonly notes: readonly string[]
  /** tofu-controller's Deployment. */
  readonly deployment: string
  /** What is suspended, in that order. */
  readonly holds: readonly string[]
  readonly fence: Fence
  readonly place: LockPlace
}

export interface UnlockPlanOptions {
  readonly fleet: Pick<Fleet, 'clusters' | 'locks'>
  /** What was read of the cluster after the observation. */
  readonly now: ClusterNow
  /** Keys of the cluster's objects whose holders are proven dead. */
  readonly ghosts: ReadonlySet<string>
  /** The controller was asked to release this very lock, and has not. */
  readonly isAssistedInVain?: boolean
}

/**
 * What it takes to unlock, or why it is refused. Pure. Only a lock that is `stale` has a plan, and one of a runner that
 * is `suspect` where the end of its pod would be the proof: that plan quiesces, and takes an approval.
 */
export function planUnlock(observation: Observation, options: UnlockPlanOptions): UnlockPlan | Refused {
  const { fleet, now, ghosts, isAssistedInVain = false } = options
  const unlockable = unlockableOf(observation, fleet)
  if ('outcome' in unlockable) return unlockable
  // What takes longer than what makes its lock suspicious is not waited for either.
  const { apply: drainMs, plan: planMs } = fleet.locks.minimumAge
  const given = caseOf(unlockable, observation, { now, ghosts, isAssistedInVain, drainMs, planMs })
  if ('outcome' in given) return given
  const choice = chooseRung(given)
  const keda = choice.rung === 'quiesce' ? scaledByKeda(given) : undefined
  if (keda) return keda
  const steps = stepsOf(choice.rung, given)
  const { cluster, object, lock, approvals } = given
  return {
    ...{ outcome: 'planned', cluster, object, lock: lock.id, ...choice, approvals, steps },
    estimate: estimateOf(steps),
    notes: [...tooFewNote(approvals, fleet.locks.approvers.length), ...notesOf(given, choice.rung === 'quiesce')],
    deployment: given.controller.key,
    holds: holdsOf(choice.rung, given),
    fence: fenceOf(given),
    place: given.place,
  }
}

/** The plan is worth seeing all the same. */
function tooFewNote({ needed }: Approvals, named: number): string[] {
  if (named >= needed) return []
  const who = named === 0 ? 'nobody' : `${named} only`
  return [
    `As it is nobody can agree to it: locks.approvers of the fleet names ${who}, and without approval it is refused.`,
  ]
}

function scaledByKeda({ autoscalers }: UnlockCase): Refused | undefined {
  const found = 'value' in autoscalers ? autoscalers.value : []
  const [scaler] = found.flatMap(({ scaledObject }) => scaledObject ?? [])
  if (scaler === undefined) return undefined
  const why = `${scaler} would scale tofu-controller up again from 0`
  return refusal('scaled-by-keda', [why], 'Pause it (annotation autoscaling.keda.sh/paused: "true"), then look again.')
}
