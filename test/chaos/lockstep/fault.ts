/** What a call of a port is, before it is made. */
export interface Call {
  /** Counts the calls of a run, from 0. */
  readonly index: number
  /** Counts those that executions of the unlock make, from 0; undefined for a scan's, or the watchdog's. */
  readonly ofUnlock: number | undefined
  /** Counts those of them that change the cluster or a lock, from 0. */
  readonly change: number | undefined
  readonly port: PortName
  readonly method: string
  /** It may change something. */
  readonly writes: boolean
  /** The function that makes it. */
  readonly by: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type Counts = 'index' | 'ofUnlock' | 'change' | 'at'

export type PortName = 'cluster' | 'ledger' | 'locks' | 'states' | 'events' | 'tasks'

/**
 * What goes wrong at one call:
 * - `dies before`, `dies after`: the process ends, without or with the effect; nothing that it had in memory is left.
 * - `hangs before`, `hangs after`: the same, but nobody hears of it before the time for the step is over.
 * - `fails`: an error, and no effect.
 * - `answer lost`: the effect, and an error.
 * - `late effect`: an error now, and the effect later: a request that was given up is still served.
 * - `forsaken`: the state machine takes the process for dead and begins the step anew, while it goes on.
 * - `slow`: it takes long.
 */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'dies before' | 'dies after' | 'hangs before' | 'hangs after' | 'fails' | 'answer lost' }
  | { readonly kind: 'late effect' | 'forsaken' | 'slow'; readonly ms: number }

export const faultKinds = [
  ...['dies before', 'dies after', 'hangs before', 'hangs after', 'fails', 'answer lost'],
  ...['late effect', 'forsaken', 'slow'],
] as const

export const noFault: Fault = { kind: 'none' }

/** Says of each call what goes wrong. */
export interface Faults {
  at(call: Call): Fault
}
