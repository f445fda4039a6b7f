import type { Push } from '../../../functions/lib/push.ts'
import type { WaveView } from './push-waves.ts'
import type { RolloutView } from './rollout-view.ts'
import type { UnlockNews } from './unlock-news.ts'

/** One push on its way through the fleet, for people to look at. */
export interface PushView {
  readonly push: Push
  /** Every cluster that it goes to, in the order of the waves; without a rollout until its wave begins. */
  readonly clusters: readonly { readonly name: string; readonly rollout?: RolloutView }[]
  /** The same clusters, wave after wave. */
  readonly waves: readonly WaveView[]
  /** Status of the fleet's execution. */
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'ABORTED' | 'TIMED_OUT'
  /** Milliseconds since the epoch, of the host's clock. */
  readonly startedAt: number
  readonly endedAt?: number
}

/** Whether all clusters have it. Of very many clusters the older rollouts are shown no more: their wave tells of them. */
export function hasSucceeded({ status, clusters, waves }: PushView): boolean {
  const done = new Set(waves.filter(({ phase }) => phase === 'done').flatMap((wave) => wave.clusters))
  return (
    status === 'SUCCEEDED' &&
    clusters.every(({ name, rollout }) => (rollout ? rollout.status === 'succeeded' : done.has(name)))
  )
}

/** Where a person, or a program, follows what the local host does. */
export interface Display {
  /** The host is ready. */
  ready(host: HostNotice): void
  /** Something that is no rollout: one line. */
  say(line: string): void
  /** What a guarded unlock does, or what has become of it. */
  unlock(news: UnlockNews): void
  /** The pushes that are under way now; called at every change. */
  show(pushes: readonly PushView[]): void
  /** A push is through. */
  conclude(push: PushView): void
  close(): void
}

export interface HostNotice {
  readonly url: string
  /** How many times as fast as real time the simulation runs; undefined for a real cluster. */
  readonly speed?: number
  readonly clusters: readonly string[]
}
