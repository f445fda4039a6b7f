import { outcomeOf, type WaveApproval } from '../approval/approval.ts'
import { oneLine } from '../locks/evidence/one-line.ts'
import type { Outcome, PlannedLayer, PlannedObject, Rollout } from '../rollout/rollout.ts'
import { type CommitStatus, description } from './commit-status.ts'

/** The statuses of a rollout's layers, by their names. Pure. */
export function layerStatuses(rollout: Rollout): Map<string, Omit<CommitStatus, 'url'>> {
  const members = Map.groupBy(rollout.objects, ({ layer }) => layer)
  return new Map(
    rollout.layers.map((layer) => [layer.name, layerStatus(rollout, layer, members.get(layer.index) ?? [])]),
  )
}

function layerStatus(
  { outcome }: Rollout,
  { openedAt }: PlannedLayer,
  objects: readonly PlannedObject[],
): Omit<CommitStatus, 'url'> {
  const ready = objects.filter(isDone)
  const rest = objects.filter((object) => !isDone(object))
  const counts = `${ready.length} of ${objects.length} ready`
  // Green is only what is ready at the revision: neither what is held, nor what was let go of.
  if (rest.length === 0 && (openedAt !== undefined || outcome === 'succeeded')) {
    return { state: 'success', description: counts }
  }
  const first = rest.find(({ phase }) => phase === 'failed') ?? rest.find(({ phase }) => phase === 'open')
  const why = first ? `${first.key} ${first.detail}` : outcome === undefined ? 'queued' : 'not rolled out'
  const text = description(oneLine(`${counts}: ${why}`))
  if (outcome === undefined) return { state: 'pending', description: text }
  if (outcome === 'superseded' || outcome === 'released') return { state: 'error', description: endText[outcome] }
  return { state: rest.some(({ phase }) => phase === 'failed') ? 'failure' : 'error', description: text }
}

const endText: Readonly<Record<Exclude<Outcome, 'succeeded'>, string>> = {
  superseded: 'A newer push has taken over',
  released: 'A person has let go of what was held: it was not rolled out in order',
  failed: 'Failed',
}

/** What a person had suspended before, and nothing waits for, is as that person wants it: as in functions/report/report.ts. */
function isDone({ phase, notHeld, reason }: PlannedObject): boolean {
  return phase === 'ready' || phase === 'gone' || (notHeld === 'person' && reason === 'Suspended')
}

/** What is known of a push as a whole. It only grows, so that the order in which it is learnt makes no difference. */
export interface PushFacts {
  /** Clusters whose rollout has not succeeded. */
  readonly bad: Readonly<Record<string, Exclude<Outcome, 'succeeded'>>>
  /** How the fleet's execution has ended. */
  readonly ended?: Outcome | 'stopped' | undefined
  /** The latest wave that people were asked about. */
  readonly asked?: AskedWave | undefined
}

/** A wave that people have to agree to, and what has come of it. */
export type AskedWave = Pick<WaveApproval, 'wave' | 'waves' | 'decisions' | 'needed' | 'closed'>

/** The status of a push: green only where the fleet's execution has, and no rollout has not, succeeded. Pure. */
export function pushStatus({ bad, ended, asked }: PushFacts): Omit<CommitStatus, 'url'> {
  const named = (outcome: Outcome) =>
    Object.keys(bad)
      .filter((cluster) => bad[cluster] === outcome)
      .sort()
  const declined = declinedText(asked)
  if (ended === undefined)
    return { state: 'pending', description: waitsFor(asked) ?? declined ?? 'Is being rolled out' }
  const [failed, superseded, released] = [named('failed'), named('superseded'), named('released')]
  if (declined !== undefined) return { state: 'failure', description: description(declined) }
  if (ended === 'failed' || failed.length > 0) {
    const where = failed.length === 0 ? '' : ` in ${failed.slice(0, 3).join(', ')}${more(failed.length - 3)}`
    return { state: 'failure', description: description(`Failed${where}`) }
  }
  if (ended === 'stopped') return { state: 'error', description: 'Was stopped before its end' }
  if (ended === 'superseded' || superseded.length > 0) return { state: 'error', description: endText.superseded }
  if (ended === 'released' || released.length > 0) return { state: 'error', description: endText.released }
  return { state: 'success', description: 'Is rolled out' }
}

function waitsFor(asked: AskedWave | undefined): string | undefined {
  if (!asked || asked.closed || outcomeOf(asked) !== 'open') return undefined
  return `Waits for people to agree to wave ${asked.wave} of ${asked.waves}`
}

function declinedText(asked: AskedWave | undefined): string | undefined {
  if (!asked) return undefined
  const of = `wave ${asked.wave} of ${asked.waves}`
  const denied = asked.decisions.find(({ decision }) => decision === 'deny')
  if (denied) return `${denied.by} denied ${of}`
  return asked.closed?.how === 'expired' ? `Nobody agreed to ${of} in time` : undefined
}

const more = (count: number) => (count > 0 ? ` and ${count} more` : '')
