import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import type { Holder, Truth } from '../truth.ts'
import type { LockPlace } from './lock-place.ts'
import type { State } from './state.ts'

export type Operation = 'OperationTypePlan' | 'OperationTypeApply'

export interface TofuOptions {
  readonly clock: ChaosClock
  readonly random: Random
  readonly truth: Truth
  readonly place: Pick<LockPlace, 'take' | 'release'>
  readonly state: State
  /** `runner@vpc-tf-runner` */
  readonly who: string
  readonly operation: Operation
  /** How long it works, in milliseconds. */
  readonly forMs: number
  /** What its machine's clock says. */
  readonly timeThere: () => number
  /** Told once: how it ended. Not told where the process is killed. */
  readonly onEnd: (end: TofuEnd) => void
  readonly dies?: DiesTaking | undefined
  /** It takes the lock before anything else happens. */
  readonly atOnce?: boolean
}

/** Its process is killed in the middle of taking its lock. */
export interface DiesTaking {
  /** Of the lock's parts, how many it has by then. */
  readonly parts: number
  readonly then: () => void
}

export type TofuEnd = { readonly is: 'done' | 'interrupted' } | { readonly is: 'locked'; readonly by: string }

/** One run of OpenTofu: it takes the lock, works, writes the state, and releases the lock, unless it is killed. */
export class TofuProcess implements Holder {
  readonly id: string
  readonly name: string
  /** In milliseconds since the epoch. */
  readonly beganAt: number
  alive = true
  private readonly options: TofuOptions
  private readonly timers: (() => void)[] = []
  private isInterrupted = false

  constructor(options: TofuOptions) {
    this.options = options
    this.beganAt = options.clock.now()
    this.id = idOf(options.truth.holderCount, options.random)
    this.name = `${options.operation} of ${options.who}`
    options.truth.holds(this)
    if (options.atOnce) this.begin()
    else this.after(options.random.between(50, 500), () => this.begin())
  }

  /** SIGKILL: nothing more is done, and the lock stays. */
  kill(): void {
    this.alive = false
    for (const cancel of this.timers) cancel()
  }

  /** SIGINT: it writes what it has and releases the lock, soon. */
  interrupt(): void {
    if (!this.alive || this.isInterrupted) return
    this.isInterrupted = true
    for (const cancel of this.timers) cancel()
    this.after(this.options.random.pick([300, 300, 2_000, 20_000, 55_000]), () => this.end({ is: 'interrupted' }))
  }

  private begin(): void {
    const { clock, place, operation, who, timeThere, forMs, random, dies } = this.options
    const raw = JSON.stringify({
      ...{ ID: this.id, Operation: operation, Info: '', Who: who, Version: '1.12.1' },
      ...{ Created: new Date(timeThere()).toISOString(), Path: '' },
    })
    const other = place.take(this.id, raw, clock.now(), dies?.parts)
    if (other !== undefined) {
      this.kill()
      this.options.onEnd({ is: 'locked', by: other })
      return
    }
    if (dies) {
      dies.then()
      return
    }
    if (operation === 'OperationTypeApply' && random.chance(0.5)) {
      this.after(forMs * random.next(), () => this.options.state.write(this.id))
    }
    this.after(forMs, () => this.end({ is: 'done' }))
  }

  private end(end: TofuEnd): void {
    const { place, state, operation } = this.options
    if (operation === 'OperationTypeApply') state.write(this.id)
    place.release(this.id)
    this.kill()
    this.options.onEnd(end)
  }

  private after(ms: number, act: () => void): void {
    this.timers.push(this.options.clock.act(ms, act))
  }
}

/** Shaped as OpenTofu's are. */
function idOf(count: number, random: Random): string {
  const hex = random.between(0, 2 ** 32 - 1).toString(16)
  return `${hex.padStart(8, '0')}-0000-0000-0000-${count.toString(16).padStart(12, '0')}`
}
