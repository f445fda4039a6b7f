import type { PushView } from './push-view.ts'
import type { WavePhase, WaveView } from './push-waves.ts'
import type { LayerView, ObjectView, RolloutView } from './rollout-view.ts'

/** One thing that has changed about a push. */
export type PushChange =
  | { readonly type: 'push'; readonly commit: string; readonly repository: string; readonly branch: string }
  | WaveChange
  | { readonly type: 'rollout'; readonly cluster: string; readonly status: string; readonly state?: string }
  | { readonly type: 'trouble'; readonly cluster: string; readonly message: string }
  | { readonly type: 'note'; readonly cluster: string; readonly message: string }
  | { readonly type: 'layer'; readonly cluster: string; readonly layer: string; readonly phase: string }
  | {
      readonly type: 'object'
      readonly cluster: string
      readonly layer: string
      readonly object: string
      readonly phase: string
      readonly detail: string
    }

export interface WaveChange {
  readonly type: 'wave'
  /** 1 is the first one. */
  readonly wave: number
  readonly of: number
  readonly phase: WavePhase
  readonly clusters: readonly string[]
  /** The clusters that have to do well first. */
  readonly after: readonly string[]
  readonly succeeded?: number
  readonly message?: string
}

/** What is different in `after`, in the order in which a person would tell it. */
export function changesBetween(before: PushView | undefined, after: PushView): PushChange[] {
  const { push, clusters } = after
  const begun: PushChange[] = before
    ? []
    : [{ type: 'push', commit: push.after, repository: push.repository.name, branch: push.branch }]
  const earlier = new Map(before?.clusters.map(({ name, rollout }) => [name, rollout]))
  const waves = ofWaves(before?.waves ?? [], after.waves)
  const begins = ({ phase }: WaveChange) => phase === 'waits' || phase === 'running'
  return [
    ...begun,
    ...waves.filter(begins),
    ...clusters.flatMap(({ name, rollout }) => (rollout ? ofRollout(earlier.get(name), rollout) : [])),
    ...waves.filter((wave) => !begins(wave)),
  ]
}

/** That a push has one wave is no news. */
function ofWaves(before: readonly WaveView[], after: readonly WaveView[]): WaveChange[] {
  if (after.length < 2) return []
  const changed = after.filter(({ phase }, index) => phase !== before[index]?.phase)
  return changed.map(({ number: wave, ...rest }) => ({ type: 'wave', wave, of: after.length, ...rest }))
}

function ofRollout(before: RolloutView | undefined, after: RolloutView): PushChange[] {
  if (before === after) return []
  const { cluster, status, state, trouble, notes, layers } = after
  const changes: PushChange[] = []
  const known = new Map(before?.layers.map((layer) => [layer.index, layer]))
  for (const layer of layers) changes.push(...ofLayer(cluster, known.get(layer.index), layer))
  if (trouble !== undefined && trouble !== before?.trouble) changes.push({ type: 'trouble', cluster, message: trouble })
  const told = new Set(before?.notes)
  for (const message of notes) if (!told.has(message)) changes.push({ type: 'note', cluster, message })
  if (status !== before?.status || state !== before.state) {
    changes.push({ type: 'rollout', cluster, status, ...(state !== undefined && { state }) })
  }
  return changes
}

function ofLayer(cluster: string, before: LayerView | undefined, after: LayerView): PushChange[] {
  const known = new Map<string, ObjectView>(before?.objects.map((object) => [object.key, object]))
  const changes: PushChange[] = []
  for (const { key, phase, detail, why } of after.objects) {
    if (known.get(key)?.phase === phase) continue
    // That nothing has happened yet is no news.
    if (phase === 'pending' && !known.has(key)) continue
    const said = [why, detail].filter((text) => text).join(' — ')
    changes.push({ type: 'object', cluster, layer: after.name, object: key, phase, detail: said })
  }
  if (after.phase !== before?.phase && after.phase !== 'pending') {
    changes.push({ type: 'layer', cluster, layer: after.name, phase: after.phase })
  }
  return changes
}
