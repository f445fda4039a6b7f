import type { Rung } from '../../functions/lib/unlock/plan/rung.ts'
import type { Fate, Scenario } from './scenario.ts'
import type { Backend } from './world/lock-place.ts'
import { root } from './world/names.ts'

const minute = 60_000

/** What makes an unlock by each rung. */
const ghosts: Readonly<Record<Rung, { readonly fate: Fate; readonly backend: Backend }>> = {
  'controller-assisted': { fate: 'loud ghost', backend: 'both' },
  // The controller cannot release what is not in all of its places.
  targeted: { fate: 'half taken', backend: 'both' },
  quiesce: { fate: 'silent ghost', backend: 'both' },
}

/** A run in which nothing happens but one ghost, which is unlocked by this rung. */
export function rungScenario(rung: Rung): Scenario {
  const { fate, backend } = ghosts[rung]
  const doings = {
    'loud ghost': [{ at: 100_000, act: 'the runner dies, and is started again' }],
    'silent ghost': [{ at: 100_000, act: 'the runner dies, and its pod fails' }],
  } as const
  return {
    begin: {
      backend,
      flux: { deployedBy: 'helm', declaresReplicas: true, declaresSuspend: true, replicas: 2 },
      ...{ suspend: { [root]: null }, forceUnlock: null, skewMs: 0, applyMs: 300_000, otherApplyMs: 20_000 },
    },
    fate,
    doings: fate === 'loud ghost' || fate === 'silent ghost' ? doings[fate] : [],
    ...{ doingsAtCalls: [], faultRate: 0, eventsLost: 0, stops: [], restarts: [], asks: [], extraScans: [] },
    ...{ losses: [], outages: [] },
    until: 14 * minute,
  }
}
