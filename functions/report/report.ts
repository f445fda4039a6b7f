import { blotted } from '../lib/blotted.ts'
import { causeText } from '../lib/cause-text.ts'
import type { Outcome, Rollout } from '../lib/rollout/rollout.ts'

/** What a state machine caught: an error's name and its text. */
export interface Failure {
  readonly error: string
  readonly cause: string
}

/**
 * Ends a rollout: decides its outcome and says why. `failure` is what stopped it, if something did.
 * Updates `rollout`. Pure.
 */
export function concludeRollout(rollout: Rollout, now: number, failure?: Failure): Outcome {
  rollout.endedAt ??= now
  if (failure) {
    rollout.outcome = failure.error === 'ClaimLost' ? 'superseded' : 'failed'
    rollout.failure = blotted(`${failure.error}: ${causeText(failure.cause)}`.slice(0, 1_000))
  }
  rollout.outcome ??= outcomeOf(rollout)
  if (rollout.outcome === 'failed') rollout.failure ??= whyFailed(rollout)
  return rollout.outcome
}

/** What a person had suspended before, and nothing waits for, is as that person wants it: it is named, no failure. */
function outcomeOf(rollout: Rollout): Outcome {
  const unfinished = rollout.objects.some(
    ({ phase, notHeld, reason }) =>
      phase !== 'ready' && phase !== 'gone' && !(notHeld === 'person' && reason === 'Suspended'),
  )
  return unfinished || rollout.failure !== undefined ? 'failed' : 'succeeded'
}

function whyFailed(rollout: Rollout): string {
  const failed = rollout.objects.filter(({ phase }) => phase === 'failed')
  const first = failed[0]
  const held = rollout.objects.filter(({ phase }) => phase === 'pending').length
  if (!first) return `${held} objects could not be opened.`
  const others = failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''
  const behind = held > 0 ? ` ${held} objects behind it were not rolled out.` : ''
  return `${first.key} ${first.detail}${others}.${behind}`
}
