import { LockstepError } from '../lib/errors.ts'
import type { Fleet } from '../lib/fleet.ts'
import type { Push } from '../lib/push.ts'
import { type WaveStore, type Waves, waveKeys } from '../lib/waves/wave-store.ts'
import { wavesOf } from '../lib/waves/waves-of.ts'

/**
 * Clusters of a wave that a Map runs inline, as many as Step Functions runs at once. A distributed Map costs an
 * execution for each cluster and some seconds for itself, and shows people one page more on the way to a rollout.
 */
export const mostInline = 40

/** One wave of a push, in a size that does not grow with the fleet. */
export interface PlannedWave {
  /** 1 is the first one. */
  readonly number: number
  /** How many waves the push has. */
  readonly of: number
  readonly clusters: number
  /** Its clusters are in the file `items`; else they are `names`. */
  readonly large: boolean
  readonly names: string[]
  /** A key of the wave store. */
  readonly items: string
  /** Where the keys of results begin. */
  readonly results: string
  /** People have to agree before it begins. */
  readonly asks: boolean
  /** How long they have, in seconds. */
  readonly approvalSeconds: number
}

/**
 * Which clusters a wave of a push has. All its waves are decided with the first one and kept: a cluster that joins the
 * fleet, or moves in it, while the push is on its way must not make it miss another one. Throws LockstepError WavesLost
 * when they are gone.
 */
export async function planWave(
  { push, number }: { readonly push: Push; readonly number: number },
  { fleet, waves: store }: { readonly fleet: Fleet; readonly waves: WaveStore },
): Promise<PlannedWave> {
  const decide = () => store.keep(push.delivery, wavesOf(fleet, push.repository.name))
  const waves = number === 1 ? await decide() : await keptWaves(store, push)
  const names = waves[number - 1] ?? []
  const large = names.length > mostInline
  const keys = waveKeys(push.delivery, number)
  if (large) await store.writeItems(keys.items, names)
  const asking = new Set(fleet.clusters.filter(({ approval }) => approval === 'before').map(({ name }) => name))
  return {
    ...{ number, of: waves.length, clusters: names.length, large, names: large ? [] : [...names], ...keys },
    asks: names.some((name) => asking.has(name)),
    approvalSeconds: Math.ceil(fleet.waves.approvalFor / 1_000),
  }
}

/** The waves that were decided with the first one. Throws LockstepError WavesLost. */
export async function keptWaves(store: WaveStore, { delivery }: Push): Promise<Waves> {
  const waves = await store.read(delivery)
  if (waves) return waves
  throw new LockstepError(
    'WavesLost',
    `The waves of delivery ${delivery} are kept no more.`,
    'Push again: nobody can tell which clusters this push has still to reach.',
  )
}
