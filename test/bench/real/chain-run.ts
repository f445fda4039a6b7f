import type { ObjectRef } from '../../../functions/lib/kubernetes/cluster.ts'
import { conditionIn, isReadyAt, type Moment, type Timeline } from '../../e2e/rollout/timeline.ts'
import type { Chain } from './chain.ts'

/** What one object did in one push. Milliseconds of performance.now, as the watch told them. */
export interface LayerTimes {
  /** Its gate was opened, where it had one. */
  readonly openedAt: number | undefined
  /** Its controller began the run that made it ready. */
  readonly startedAt: number
  readonly readyAt: number
}

/** How a chain went through one push. */
export interface ChainRun {
  readonly layers: readonly LayerTimes[]
  /** From the first layer's start to the last layer's end. */
  readonly wallMs: number
  /** The sum of the reconciles alone. */
  readonly workMs: number
  /** For each layer but the first: from the end of the one before to its start. */
  readonly idleMs: readonly number[]
  /** For each layer but the first, where there were gates: from the end of the one before to the request that opens it. */
  readonly openMs: readonly number[]
}

/** Waits until the chain is ready at `commit`. */
export async function chainReady(timeline: Timeline, chain: Chain, namespace: string, commit: string): Promise<void> {
  await timeline.until(
    `the chain of ${chain.kind}s ready at ${commit.slice(0, 10)}`,
    () => {
      const objects = refsOf(chain, namespace).map((ref) => timeline.latest(ref))
      return objects.every((object) => object && isReadyAt(object, commit)) || undefined
    },
    300_000,
  )
}

/** Reads a push that is over from what the watch told since `version`. */
export function readChainRun(
  timeline: Timeline,
  chain: Chain,
  namespace: string,
  { commit, version }: { commit: string; version: number },
): ChainRun {
  const layers = refsOf(chain, namespace).map((ref) => timesOf(timeline.of(ref, version), commit))
  const [first, last] = [layers[0], layers.at(-1)]
  if (!first || !last) throw new Error('a chain without layers')
  const gaps = layers.slice(1).map((layer, index) => ({ layer, before: layers[index]?.readyAt ?? Number.NaN }))
  return {
    layers,
    wallMs: last.readyAt - first.startedAt,
    workMs: layers.reduce((sum, { startedAt, readyAt }) => sum + readyAt - startedAt, 0),
    idleMs: gaps.map(({ layer, before }) => layer.startedAt - before),
    openMs: gaps.flatMap(({ layer, before }) => (layer.openedAt === undefined ? [] : [layer.openedAt - before])),
  }
}

function refsOf({ kind, names }: Chain, namespace: string): ObjectRef[] {
  return names.map((name) => ({ kind, namespace, name }))
}

function timesOf(moments: readonly Moment[], commit: string): LayerTimes {
  const end = moments.findIndex(({ object }) => isReadyAt(object, commit))
  const ready = moments[end]
  if (!ready) throw new Error(`an object was never ready at ${commit}`)
  const opened = moments.find(({ object }, index) => moments[index - 1]?.object.spec?.suspend && !object.spec?.suspend)
  return { openedAt: opened?.at, startedAt: startOf(moments.slice(0, end + 1)), readyAt: ready.at }
}

/** The run that made it ready began when its controller last took up work before that. */
function startOf(moments: readonly Moment[]): number {
  const isAtWork = ({ object }: Moment) => conditionIn(object, 'Reconciling')?.status === 'True' && !refused(object)
  const last = moments.findLastIndex(isAtWork)
  const idle = moments.findLastIndex((moment, index) => index < last && !isAtWork(moment))
  const first = moments[idle + 1]
  if (last === -1 || !first) throw new Error('an object was ready without a run')
  return first.at
}

/** tofu-controller leaves Reconciling as it was where a dependency is not ready. */
function refused(object: Moment['object']): boolean {
  return conditionIn(object, 'Ready')?.reason === 'DependencyNotReady'
}
