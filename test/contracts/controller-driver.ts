import type { ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'

export interface StatusCondition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

/** An object as its API answers it, as far as the behaviour suites read it. */
export interface DrivenObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly generation?: number }
  // biome-ignore lint/suspicious/noExplicitAny: every kind has its own
  readonly spec?: any
  readonly status?: {
    readonly observedGeneration?: number
    readonly lastHandledReconcileAt?: string
    readonly lastAppliedRevision?: string
    readonly lastAttemptedRevision?: string
    readonly conditions?: readonly StatusCondition[]
    // biome-ignore lint/suspicious/noExplicitAny: every kind has its own
    readonly [field: string]: any
  }
}

/** One version of an object, and when it was written (milliseconds). */
export interface Sighting {
  readonly at: number
  readonly object: DrivenObject
}

/** A cluster with controllers and one Git repository: simulated, or real. */
export interface ControllerDriver {
  /** Where the test's objects live: nothing else is in it. */
  readonly namespace: string
  /** URL of the repository, for a GitRepository of branch main. */
  readonly url: string
  /** Commits files (path -> documents; none deletes the file) to main; answers the revision `main@sha1:<sha>`. */
  push(files?: Record<string, readonly object[]>): Promise<string>
  /** Creates an object, or changes its spec. */
  apply(object: object): Promise<void>
  remove(ref: ObjectRef): Promise<void>
  /** Sets reconcile.fluxcd.io/requestedAt. */
  request(ref: ObjectRef, token: string): Promise<void>
  /** Sets spec.suspend, as field manager `lockstep` or another. */
  suspend(ref: ObjectRef, suspend: boolean, manager?: string): Promise<void>
  get(ref: ObjectRef): Promise<DrivenObject | undefined>
  /** Every version of an object from now on; the list grows as they are written. */
  observe(ref: ObjectRef): Promise<readonly Sighting[]>
  /** The object as soon as `holds`. Rejects after `timeoutMs`, naming the object and its last status. */
  until(ref: ObjectRef, holds: (object: DrivenObject) => boolean, timeoutMs?: number): Promise<Sighting>
  now(): number
  wait(ms: number): Promise<void>
  stop(): Promise<void>
}

export function conditionOf(object: DrivenObject | undefined, type: string): StatusCondition | undefined {
  return object?.status?.conditions?.find((condition) => condition.type === type)
}

export function ready(object: DrivenObject | undefined): string | undefined {
  return conditionOf(object, 'Ready')?.status
}

export function reason(object: DrivenObject | undefined): string | undefined {
  return conditionOf(object, 'Ready')?.reason
}
