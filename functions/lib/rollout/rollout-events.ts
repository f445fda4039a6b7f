import { createHash } from 'node:crypto'
import type { RolloutEvent } from '../events.ts'
import { type TellPorts, tell } from '../tell.ts'
import { countObjects, type PlannedLayer, type PlannedObject, type Rollout } from './rollout.ts'

/** What an event says of the rollout that it is about. */
export function aboutRollout({ id, execution, cluster, push, commit }: Rollout) {
  return {
    version: 1 as const,
    ...{ cluster, rollout: id, execution, delivery: push.delivery },
    repository: `${push.repository.host}/${push.repository.name}`,
    ...{ branch: push.branch, commit: push.after, pusher: push.pusher },
    ...(commit !== undefined && commit !== push.after && { served: commit }),
  }
}

/**
 * Tells everything that the record says has happened and that has not been told, and adds it to what has been told. The
 * record must be as it is stored: who hears of an event finds in the ledger what it tells of. The caller stores it with
 * its own next write; should that fail, it is told again, with the same id. Never rejects.
 */
export async function tellRollout(rollout: Rollout, ports: TellPorts): Promise<void> {
  const told = new Set(rollout.told)
  const due = rolloutEvents(rollout).filter(({ id }) => !told.has(id))
  // In order: one after the other.
  for (const event of due) await tell(event, ports)
  if (due.length > 0) rollout.told = [...told, ...due.map(({ id }) => id)]
}

/** What the record says has happened, as events, in the order in which it has. Of the same record they are the same. */
export function rolloutEvents(rollout: Rollout): RolloutEvent[] {
  const { layers, objects, heldSince, outcome } = rollout
  return [
    { type: 'Rollout Started', ...aboutRollout(rollout), id: `${rollout.id}/started`, at: time(rollout.startedAt) },
    ...(layers.length > 0 ? [planned(rollout)] : []),
    ...layers.flatMap((layer) => layerDone(rollout, layer)),
    ...(heldSince !== undefined && outcome === undefined ? [held(rollout, heldSince)] : []),
    ...(outcome === undefined ? [] : [finished(rollout, outcome, objects)]),
  ]
}

/** Made again during the rollout it is no news. */
function planned(rollout: Rollout): RolloutEvent {
  return {
    ...{ type: 'Rollout Planned', ...aboutRollout(rollout) },
    ...{ id: `${rollout.id}/planned`, at: time(rollout.plannedAt ?? rollout.startedAt) },
    ...{ layers: rollout.layers.length, objects: rollout.objects.length },
  }
}

function layerDone(rollout: Rollout, { index, name, openedAt, settledAt }: PlannedLayer): RolloutEvent[] {
  if (openedAt === undefined || settledAt === undefined) return []
  const inPhase = countsIn(rollout.objects.filter(({ layer }) => layer === index))
  return [
    {
      ...{ type: 'Rollout Layer Done', ...aboutRollout(rollout), id: `${rollout.id}/layer/${index}` },
      ...{ at: time(settledAt), layer: name, number: index + 1, layers: rollout.layers.length },
      ...{ openedAt: time(openedAt), ready: inPhase('ready'), failed: inPhase('failed'), pending: inPhase('pending') },
    },
  ]
}

/** So many are named. */
const mostNamed = 10

/**
 * Told once for the same failures: an object that fails, is tried again and fails again would tell of it every minute. What
 * it says does not count, as that may differ each time.
 */
function held(rollout: Rollout, since: number): RolloutEvent {
  const failed = rollout.objects.filter(({ phase }) => phase === 'failed')
  const keys = failed.map(({ key }) => key).sort()
  const digest = createHash('sha256').update(JSON.stringify(keys)).digest('hex').slice(0, 16)
  const [first] = failed
  return {
    ...{ type: 'Rollout Held', ...aboutRollout(rollout), id: `${rollout.id}/held/${digest}`, at: time(since) },
    ...{ behind: keys.slice(0, mostNamed), failed: failed.length, pending: countsIn(rollout.objects)('pending') },
    why: first ? `${first.key} ${first.detail}` : 'What comes before them is not ready.',
  }
}

function finished(
  rollout: Rollout,
  outcome: NonNullable<Rollout['outcome']>,
  objects: readonly PlannedObject[],
): RolloutEvent {
  const { id, startedAt, endedAt = startedAt, failure } = rollout
  const { ready, failed, pending } = countObjects(rollout)
  return {
    ...{ type: 'Rollout Finished', ...aboutRollout(rollout), id: `${id}/finished`, at: time(endedAt) },
    ...{ outcome, startedAt: time(startedAt), objects: objects.length, ready, failed, pending },
    ...(failure !== undefined && { why: failure }),
  }
}

const countsIn = (objects: readonly PlannedObject[]) => (phase: PlannedObject['phase']) =>
  objects.filter((object) => object.phase === phase).length

const time = (ms: number) => new Date(ms).toISOString()
