import { causeText } from '../cause-text.ts'
import type { Fleet } from '../fleet.ts'
import { shortCommit } from '../flux/revision.ts'
import { oneLine } from '../locks/evidence/one-line.ts'
import type { Push } from '../push.ts'
import type { Message } from './message.ts'

/** How an execution of the state machine `fleet` has ended, as Step Functions tells it. */
export interface PushEnd {
  readonly executionArn: string
  readonly status: 'SUCCEEDED' | 'FAILED' | 'ABORTED' | 'TIMED_OUT'
  /** In milliseconds since the epoch. */
  readonly startDate: number
  readonly error?: string | null | undefined
  readonly cause?: string | null | undefined
}

export interface PushEndOptions {
  readonly fleet: Pick<Fleet, 'clusters'>
  /** The page of an execution, by its ARN. */
  readonly linkOf: (executionArn: string) => string | undefined
}

const next: Readonly<Record<string, string>> = {
  WaveFailed: 'Read the reports of the clusters that failed, correct it in Git, and push again.',
  WaveNotAsked: 'Read in the execution why nobody was asked, and start the push again when it is mended.',
  ABORTED: 'Somebody stopped it. Start the execution again, with a delivery of its own, or push again.',
}
const otherwise = 'Read the error in the execution, and start the push again when it is mended.'

/**
 * What people are told of a push that has not reached all clusters; undefined where it has, or where they were told by another message: of
 * a wave that they did not agree to, or of the rollout of the only cluster.
 */
export function pushEndMessage(end: PushEnd, push: Push, { fleet, linkOf }: PushEndOptions): Message | undefined {
  const { executionArn, status, startDate, error, cause } = end
  if (status === 'SUCCEEDED' || error === 'WaveNotApproved') return undefined
  if (error === 'WaveFailed' && fleet.clusters.length === 1) return undefined
  const { repository, branch, after, pusher } = push
  const why = cause ? causeText(cause) : (error ?? status)
  return {
    ...{ id: `${executionArn}/ended`, type: 'Push Ended', cluster: undefined, urgency: 'attention' },
    title: oneLine(`Push of ${shortCommit(after)} has not reached all clusters`),
    facts: [
      ['Pushed by', oneLine(`${pusher}, to ${branch} of ${repository.host}/${repository.name}`)],
      ['Since', new Date(startDate).toISOString()],
      ['Why', oneLine(why)],
    ],
    next: next[error ?? status] ?? next[status] ?? otherwise,
    link: linkOf(executionArn),
  }
}
