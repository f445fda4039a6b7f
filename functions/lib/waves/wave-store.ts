import { LockstepError } from '../errors.ts'
import type { Outcome } from '../rollout/rollout.ts'

/** The names of the clusters that a push goes to, wave after wave. */
export type Waves = readonly (readonly string[])[]

/** How the rollout of one cluster ended. */
export interface ClusterEnd {
  readonly cluster: string
  readonly outcome: Outcome
}

/**
 * What is too large for the state of an execution, by the id of the push's delivery. Every method may throw
 * WavesUnavailable, which passes, and LockstepError WavesRefused, which does not.
 */
export interface WaveStore {
  /** Keeps the waves of a push, unless some are kept already; answers those that are kept. */
  keep(delivery: string, waves: Waves): Promise<Waves>
  /** Undefined when none are kept (any more). */
  read(delivery: string): Promise<Waves | undefined>
  /** Writes what a distributed Map reads: one object `{"cluster": …}` for each name. */
  writeItems(key: string, names: readonly string[]): Promise<void>
  /**
   * The ends that a distributed Map has written, by the key of its manifest. A cluster whose end cannot be found there
   * is left out; one whose execution was started twice may be there twice.
   */
  readEnds(manifest: string): Promise<readonly ClusterEnd[]>
}

/** The files of the waves cannot be reached for now. */
export class WavesUnavailable extends LockstepError {
  constructor(what: string, why: string) {
    super('WavesUnavailable', `${what} was not answered (${why}).`, 'It is tried again.')
  }
}

/** Where the files of a wave are: `items` is one file, `results` begins the keys of those that the Map writes. */
export function waveKeys(delivery: string, number: number): { readonly items: string; readonly results: string } {
  const wave = `${delivery}/wave-${number}`
  return { items: `${wave}/clusters.json`, results: `${wave}/results` }
}
