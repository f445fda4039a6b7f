import { hasSucceeded, type PushView } from './push-view.ts'
import type { WaveView } from './push-waves.ts'
import type { LayerView, RolloutStatus, RolloutView } from './rollout-view.ts'

export interface LayerSummary {
  readonly name: string
  readonly objects: number
  readonly ready: number
  readonly failed: number
  /** From the layer's opening to its last object; undefined when it was not opened or not finished. */
  readonly durationMs?: number
  /** From the moment when the last object before it was ready until it was opened: nothing was under way then. */
  readonly idleMs?: number
}

export interface ClusterSummary {
  readonly cluster: string
  /** `not begun`: an earlier wave has not succeeded. */
  readonly status: RolloutStatus | 'not begun'
  readonly durationMs?: number
  readonly failure?: string
  readonly notes: readonly string[]
  readonly layers: readonly LayerSummary[]
}

/** How a push went. Times are of the host's clock: simulated time where it runs faster. */
export interface PushSummary {
  readonly commit: string
  readonly repository: string
  readonly branch: string
  readonly succeeded: boolean
  readonly durationMs: number
  /** None where there is one only. */
  readonly waves: readonly WaveView[]
  readonly clusters: readonly ClusterSummary[]
}

/** `now` ends what has no end yet. */
export function summarise(view: PushView, now: number): PushSummary {
  const { push, clusters, waves, startedAt, endedAt } = view
  return {
    commit: push.after,
    repository: push.repository.name,
    branch: push.branch,
    succeeded: hasSucceeded(view),
    durationMs: (endedAt ?? now) - startedAt,
    waves: waves.length > 1 ? waves : [],
    clusters: clusters
      .filter(({ name, rollout }) => rollout !== undefined || !hadItsTurn(name, waves))
      .map(({ name, rollout }) =>
        rollout ? clusterSummary(rollout, now) : { cluster: name, status: 'not begun', notes: [], layers: [] },
      ),
  }
}

/** Of very many clusters the older rollouts are shown no more. */
function hadItsTurn(name: string, waves: readonly WaveView[]): boolean {
  const wave = waves.find(({ clusters }) => clusters.includes(name))
  return wave !== undefined && wave.phase !== 'waits' && wave.phase !== 'not begun'
}

function clusterSummary(rollout: RolloutView, now: number): ClusterSummary {
  const { cluster, status, startedAt, endedAt, failure, notes, layers } = rollout
  const settled = layers.flatMap(({ objects }) => objects.flatMap(({ settledAt }) => settledAt ?? []))
  return {
    ...{ cluster, status, notes, durationMs: (endedAt ?? now) - startedAt },
    ...(failure !== undefined && { failure }),
    layers: layers.map((layer) => layerSummary(layer, settled)),
  }
}

function layerSummary({ name, objects, counts, openedAt, settledAt }: LayerView, settled: readonly number[]) {
  const before = openedAt === undefined ? undefined : latestUpTo(openedAt, settled)
  return {
    ...{ name, objects: objects.length, ready: counts.ready, failed: counts.failed },
    ...(openedAt !== undefined && settledAt !== undefined && { durationMs: settledAt - openedAt }),
    ...(openedAt !== undefined && before !== undefined && { idleMs: openedAt - before }),
  }
}

function latestUpTo(limit: number, times: readonly number[]): number | undefined {
  let latest: number | undefined
  for (const time of times) if (time <= limit && time > (latest ?? Number.NEGATIVE_INFINITY)) latest = time
  return latest
}
