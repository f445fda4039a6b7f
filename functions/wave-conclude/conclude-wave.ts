import * as z from 'zod'
import type { Outcome } from '../lib/rollout/rollout.ts'
import { type FailureTolerance, failuresTolerated } from '../lib/waves/failure-tolerance.ts'
import type { ClusterEnd, Waves } from '../lib/waves/wave-store.ts'

/** How many clusters a text, or the state of an execution, names; the others are counted. */
export const mostNamed = 10

/** The state of statemachines/fleet.asl.json that comes after a wave. */
export const nextSchema = z.enum(['PlanWave', 'Done', 'Stopped', 'Failed'])

/** How many clusters ended in which way. */
export interface Tally {
  readonly clusters: number
  readonly succeeded: number
  readonly failed: number
  readonly released: number
  readonly superseded: number
  /** Clusters that failed, the first ones. */
  readonly failedNames: string[]
}

export interface Conclusion {
  readonly next: z.infer<typeof nextSchema>
  readonly outcome: Outcome
  readonly message: string
  readonly wave: Tally
  readonly tally: Tally
}

export interface EndedWave {
  readonly delivery: string
  readonly waves: Waves
  /** 1 is the first one. */
  readonly number: number
  /** A cluster that is missing here has failed; of one that is here twice, the worse end counts. */
  readonly ends: readonly ClusterEnd[]
  readonly before: Tally | null
  readonly tolerance: FailureTolerance
  /** Why there are no ends at all. */
  readonly failure?: string
}

/**
 * Counts how the clusters of a wave ended, and decides whether the next wave begins (docs/decisions/019). Pure.
 * - A newer push somewhere ends this one: it goes through the waves itself, beginning with the first.
 * - Clusters that failed, and those that people took into their own hands, are tolerated up to the fleet's number.
 * - A push that has reached every wave is still no success while a cluster is left behind.
 */
export function concludeWave(ended: EndedWave): Conclusion {
  const { waves, number, before, tolerance } = ended
  const wave = tallyOf(waves[number - 1] ?? [], ended.ends)
  const tally = before ? sum(before, wave) : wave
  const tooMany = wave.failed + wave.released > failuresTolerated(tolerance, wave.clusters)
  const stops = wave.superseded > 0 || tooMany
  if (!stops && number < waves.length) {
    return { next: 'PlanWave', outcome: outcomeOf(wave), message: waveText(ended, wave), wave, tally }
  }
  const outcome = outcomeOf(tally)
  const message = stops ? stopText(ended, wave) : endText(ended, tally)
  return { next: nextOf(outcome), outcome, message, wave, tally }
}

const ranks: readonly Outcome[] = ['succeeded', 'released', 'failed', 'superseded']
const rank = (outcome: Outcome) => ranks.indexOf(outcome)

function tallyOf(names: readonly string[], ends: readonly ClusterEnd[]): Tally {
  const outcomes = new Map<string, Outcome>()
  for (const { cluster, outcome } of ends) {
    const known = outcomes.get(cluster)
    if (known === undefined || rank(outcome) > rank(known)) outcomes.set(cluster, outcome)
  }
  const ended = (wanted: Outcome) => names.filter((name) => (outcomes.get(name) ?? 'failed') === wanted)
  const failed = ended('failed')
  return {
    clusters: names.length,
    succeeded: ended('succeeded').length,
    failed: failed.length,
    released: ended('released').length,
    superseded: ended('superseded').length,
    failedNames: failed.slice(0, mostNamed),
  }
}

function sum(one: Tally, other: Tally): Tally {
  return {
    clusters: one.clusters + other.clusters,
    succeeded: one.succeeded + other.succeeded,
    failed: one.failed + other.failed,
    released: one.released + other.released,
    superseded: one.superseded + other.superseded,
    failedNames: [...one.failedNames, ...other.failedNames].slice(0, mostNamed),
  }
}

/** The one that a person has to know of first; where a newer push is on its way, nobody has to do anything. */
function outcomeOf({ superseded, failed, released }: Tally): Outcome {
  if (superseded > 0) return 'superseded'
  if (failed > 0) return 'failed'
  return released > 0 ? 'released' : 'succeeded'
}

function nextOf(outcome: Outcome): Conclusion['next'] {
  if (outcome === 'succeeded') return 'Done'
  return outcome === 'failed' ? 'Failed' : 'Stopped'
}

function waveText({ number, waves }: EndedWave, wave: Tally): string {
  return `Wave ${number} of ${waves.length}: ${countsText(wave)}.`
}

function stopText(ended: EndedWave, wave: Tally): string {
  const { number, waves, delivery, failure, tolerance } = ended
  const left = waves.slice(number)
  const clusters = left.reduce((count, names) => count + names.length, 0)
  const behind =
    left.length === 0 ? '' : ` ${many(left.length, 'later wave')} with ${many(clusters, 'cluster')} did not begin.`
  const text = `${waveText(ended, wave)}${behind}`
  if (wave.superseded > 0) return `${text} A newer push goes through all waves itself.`
  const why = failure === undefined ? '' : ` ${failure}`
  const limit = left.length === 0 ? '' : ` The fleet tolerates ${tolerance} a wave (failureTolerance).`
  return `${text}${limit}${why} Look at the executions ${delivery}.<cluster> of the rollout state machine; then push again.`
}

function endText({ waves, delivery }: EndedWave, tally: Tally): string {
  const text = `All waves (${waves.length}) are through: ${countsText(tally)}.`
  if (tally.failed + tally.released === 0) return text
  return `${text} Look at the executions ${delivery}.<cluster> of the rollout state machine.`
}

function countsText({ clusters, succeeded, failed, released, superseded, failedNames }: Tally): string {
  const others = failed > failedNames.length ? [`and ${failed - failedNames.length} more`] : []
  const parts = [
    `${succeeded} of ${clusters} clusters succeeded`,
    ...(failed > 0 ? [`${failed} failed (${[...failedNames, ...others].join(', ')})`] : []),
    ...(released > 0 ? [`${released} released by people`] : []),
    ...(superseded > 0 ? [`${superseded} overtaken by a newer push`] : []),
  ]
  return parts.join(', ')
}

const many = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
