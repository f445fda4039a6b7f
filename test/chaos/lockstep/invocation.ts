import { ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { LedgerUnavailable } from '../../../functions/lib/ledger/ledger.ts'
import { LockStoreError } from '../../../functions/lib/locks/stores/lock-store.ts'
import type { ChaosClock } from '../chaos-clock.ts'
import type { Call, Counts, Fault, PortName } from './fault.ts'

/** What an invocation needs of the run that it is in. */
export interface Surroundings {
  readonly clock: ChaosClock
  /** Counts the call, lets others act, and says what goes wrong. */
  fault(call: Omit<Call, Counts>): Fault
  /** Runs the effect of a call as Lockstep's, for the one unlock or scan. Everything that it does it does at once. */
  as<T>(invocation: Invocation, effect: () => T): T
}

/** Of methods of ports that change nothing. */
const reads = /^(list|get|read|connect|watch|head)/

/**
 * One call of a function: a process of its own, which can die. What is dead does nothing more, and nobody hears of it
 * but by `crashed`.
 */
export class Invocation {
  readonly functionName: string
  readonly payload: unknown
  /** Rejects when the process ends without an answer. */
  readonly crashed: Promise<never>
  private readonly around: Surroundings
  private isDead = false
  /** How long its next call takes, in milliseconds. */
  private pace: (() => number) | undefined
  private crash: (error: Error) => void = () => {}

  constructor(functionName: string, payload: unknown, around: Surroundings) {
    this.functionName = functionName
    this.payload = payload
    this.around = around
    this.crashed = new Promise((_, reject) => {
      this.crash = reject
    })
    // Nobody may be waiting for it.
    this.crashed.catch(() => {})
  }

  get isAlive(): boolean {
    return !this.isDead
  }

  /** Ends the process; nobody is told. */
  kill(): void {
    this.isDead = true
  }

  /** Nobody waits for it any more, and it goes on: each of its calls takes as long as `pace` says, in milliseconds. */
  forsake(pace: () => number): void {
    this.pace = pace
  }

  /** Its time is over. */
  timeOut(): void {
    this.isDead = true
    this.crash(named('Sandbox.Timedout'))
  }

  /** A port as this process sees it. */
  port<Port extends object>(name: PortName, port: Port): Port {
    return new Proxy(port, {
      get: (target, property) => {
        const value = Reflect.get(target, property)
        if (typeof value !== 'function' || typeof property !== 'string') return value
        return (...args: unknown[]) => this.call(name, property, () => value.apply(target, args))
      },
    })
  }

  private async call<T>(port: PortName, method: string, effect: () => Promise<T>): Promise<T> {
    if (this.isDead) return never()
    const fault = this.around.fault({ port, method, writes: !reads.test(method), by: this.functionName })
    if (this.pace) await this.pass(this.pace())
    // Others may have ended it meanwhile.
    if (this.isDead) return never()
    return this.alive(await this.faulty(fault, port, () => this.around.as(this, effect)))
  }

  private async faulty<T>(fault: Fault, port: PortName, effect: () => Promise<T>): Promise<T> {
    switch (fault.kind) {
      case 'none':
        return effect()
      case 'dies before':
        return this.die('Runtime.ExitError')
      case 'dies after':
        await settled(effect)
        return this.die('Runtime.ExitError')
      case 'hangs before':
        return this.die(undefined)
      case 'hangs after':
        await settled(effect)
        return this.die(undefined)
      case 'fails':
        throw failureOf(port)
      case 'answer lost':
        await settled(effect)
        throw failureOf(port)
      case 'late effect':
        this.around.clock.after(fault.ms, () => void settled(effect))
        throw failureOf(port)
      case 'forsaken':
        this.crash(named('Lambda.SdkClientException'))
        this.pace = () => fault.ms
        await this.pass(fault.ms)
        return this.isDead ? never() : effect()
      case 'slow':
        await this.pass(fault.ms)
        return this.isDead ? never() : effect()
    }
  }

  /** Without a name nobody hears of it: the time limit of the step ends the waiting. */
  private die(name: string | undefined): Promise<never> {
    this.isDead = true
    if (name !== undefined) this.crash(named(name))
    return never()
  }

  private alive<T>(answer: T): T | Promise<never> {
    return this.isDead ? never() : answer
  }

  private pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.around.clock.after(ms, resolve))
  }
}

/** The effect, whatever it answers. */
async function settled(effect: () => Promise<unknown>): Promise<void> {
  await effect().catch(() => {})
}

function never(): Promise<never> {
  return new Promise(() => {})
}

function named(name: string): Error {
  return Object.assign(new Error(`${name}: the process has ended.`), { name })
}

/** As each port says that it got no answer. */
export function failureOf(port: PortName): Error {
  switch (port) {
    case 'cluster':
      return new ClusterError('ClusterUnavailable', 'staging', 0, 'staging did not answer.', 'It is tried again.')
    case 'ledger':
      return new LedgerUnavailable('a call', new Error('no answer'))
    case 'locks':
    case 'states':
      return new LockStoreError('LockStoreUnavailable', 'the store', 'it did not answer.', 'It is tried again.')
    case 'events':
      return named('EventsUnavailable')
    case 'tasks':
      return named('TaskTokensUnavailable')
  }
}
