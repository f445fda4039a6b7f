/** How an injected failure looks in the object's conditions. */
export interface Failure {
  readonly reason?: string
  readonly message?: string
}

interface Fault {
  failure?: { readonly shown: Failure; left: number }
  hold?: { readonly released: Promise<void>; readonly release: () => void }
  delay?: number
  stale?: number
  lostRunners?: number
  readonly atStart: (() => void)[]
}

/** Faults by object key (`Terraform/flux-system/vpc`). Injected by tests and demos, met by the simulated controllers. */
export class Faults {
  private readonly faults = new Map<string, Fault>()

  /**
   * Fails the next `times` runs of an object (default: all, until `clear`). A source fails its fetch. The default
   * reason is the kind's usual one; for a Terraform the reason says in which phase it fails (TFExecInitFailed,
   * TFExecPlanFailed, TFExecApplyFailed).
   */
  fail(key: string, failure: Failure = {}, times = Number.POSITIVE_INFINITY): void {
    this.of(key).failure = { shown: failure, left: times }
  }

  /** The next run of an object starts and never ends; its key is busy until `release` or the controller stops. */
  hang(key: string): void {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    this.of(key).hold = { released, release }
  }

  release(key: string): void {
    const fault = this.of(key)
    fault.hold?.release()
    delete fault.hold
  }

  /** Every run of an object, or fetch of a source, takes `ms` milliseconds longer, until `clear`. */
  delay(key: string, ms: number): void {
    this.of(key).delay = ms
  }

  /**
   * The next `times` runs that no new artifact triggered read the source's previous artifact, as with a cache that
   * lags behind: the token is handled at R-1 (kustomize-controller issue 1583).
   */
  staleSource(key: string, times = 1): void {
    this.of(key).stale = times
  }

  /**
   * Terraform: the runner pods of the next `times` runs get no address. The token is recorded, Ready stays Unknown,
   * nothing is counted, and the next attempt comes only after the interval.
   */
  loseRunner(key: string, times = 1): void {
    this.of(key).lostRunners = times
  }

  /** Calls `act` once, when the next run of an object starts: a push, or another writer, in between. */
  atStart(key: string, act: () => void): void {
    this.of(key).atStart.push(act)
  }

  /** Ends every fault of an object; one that hangs goes on. */
  clear(key: string): void {
    this.release(key)
    this.faults.delete(key)
  }

  /** For controllers: the failure that this run has to show, if any. */
  takeFailure(key: string): Failure | undefined {
    const failure = this.faults.get(key)?.failure
    if (!failure || failure.left <= 0) return undefined
    failure.left--
    return failure.shown
  }

  /** For controllers: settles when the run may go on; undefined when nothing holds it. */
  takeHold(key: string): Promise<void> | undefined {
    return this.faults.get(key)?.hold?.released
  }

  /** For controllers: extra milliseconds of this run. */
  delayOf(key: string): number {
    return this.faults.get(key)?.delay ?? 0
  }

  takeStale(key: string): boolean {
    const fault = this.faults.get(key)
    if (!fault?.stale) return false
    fault.stale--
    return true
  }

  takeLostRunner(key: string): boolean {
    const fault = this.faults.get(key)
    if (!fault?.lostRunners) return false
    fault.lostRunners--
    return true
  }

  started(key: string): void {
    for (const act of this.faults.get(key)?.atStart.splice(0) ?? []) act()
  }

  private of(key: string): Fault {
    const found = this.faults.get(key)
    if (found) return found
    const created: Fault = { atStart: [] }
    this.faults.set(key, created)
    return created
  }
}
