import type { LockPlace } from '../../locks/backends/lock-place.ts'

/** What was read for a plan, or why it could not be. */
export type Reading<Value> = { readonly value: Value } | { readonly unknown: string }

/** A HelmRelease or Kustomization that puts back what others change. */
export interface Applier {
  /** `HelmRelease/flux-system/tofu-controller` */
  readonly key: string
  readonly suspended: boolean
  /** The mark of the rollout that holds it, if one does. */
  readonly gate?: string
}

/** tofu-controller as it is installed. */
export interface ControllerNow {
  /** `Deployment/flux-system/tofu-controller` */
  readonly key: string
  readonly replicas: number
  /** How long its pods may take to end, in milliseconds. */
  readonly graceMs: number
  /** How long it waits for runs that do not end before it does, in milliseconds. */
  readonly shutdownMs: number
  /** All pods that its Deployment selects, those that are ending too. */
  readonly pods: readonly { readonly name: string; readonly uid: string; readonly ready: boolean }[]
  /** Who would put its replicas back; then who would resume that one, and so on. Empty where Flux applies none of it. */
  readonly appliers: readonly Applier[]
}

/** A Terraform object, as far as an unlock touches it. */
export interface TerraformNow {
  readonly key: string
  readonly suspended: boolean
  /** The mark of the rollout that holds it, if one does. */
  readonly gate?: string
  readonly deleting: boolean
  /** A run of it goes on, by its own conditions. */
  readonly running: boolean
  /** Its condition Ready, for people: `Unknown Progressing`. */
  readonly ready: string
  /** `status.lock.pending` of an object that is StateLocked. */
  readonly metLock?: string
  readonly pendingLock: string
  readonly pendingPlan: string
  readonly lastPlannedRevision: string
  readonly lastAttemptedRevision: string
  readonly approvePlan: string
  readonly forceUnlock?: string
  readonly lockIdentifier?: string
  /** Git declares `spec.tfstate`. */
  readonly forceUnlockByGit: boolean
  /** How long its runner's pod may take to end, in milliseconds. */
  readonly runnerGraceMs: number
  /** Where its backend keeps the state and its lock; undefined where that cannot be told. */
  readonly place?: LockPlace
  /** Who would put its `spec.suspend` back; then who would resume that one, and so on. */
  readonly appliers: readonly Applier[]
}

/** Another Terraform object. */
export interface OtherTerraform {
  readonly key: string
  readonly suspended: boolean
  /** A run of it goes on, by its own conditions. */
  readonly running: boolean
  /** It keeps the very same state. */
  readonly sharesState: boolean
  /** See `TerraformNow`. */
  readonly appliers: readonly Applier[]
}

/** The pod that has the name of the object's runner. */
export interface RunnerNow {
  readonly key: string
  readonly uid: string
  readonly phase: string
  readonly deleting: boolean
}

/** A HorizontalPodAutoscaler of tofu-controller's Deployment. */
export interface Autoscaler {
  readonly key: string
  /** The ScaledObject of KEDA that made it, if one did: it also scales up from 0. */
  readonly scaledObject?: string
}

/** All that a plan rests on beside the observation of the lock. */
export interface ClusterNow {
  /** Undefined where no tofu-controller is installed. */
  readonly controller: Reading<ControllerNow | undefined>
  /** Undefined where the object does not exist any more. */
  readonly object: Reading<TerraformNow | undefined>
  readonly others: Reading<readonly OtherTerraform[]>
  /** Undefined where there is no such pod. */
  readonly runner: Reading<RunnerNow | undefined>
  readonly autoscalers: Reading<readonly Autoscaler[]>
}
