/**
 * An error of a state, as Retry and Catch see it: an error name and a cause. Not a LockstepError: machines match on
 * it, people read it in the execution's history.
 */
export class StateError extends Error {
  /** The error name, such as `States.Timeout` or the name of the error that a handler threw. */
  readonly error: string
  readonly failure: string
  /** The field whose expression failed, for `States.QueryEvaluationError`. */
  readonly location: string | undefined

  constructor(error: string, failure: string, location?: string) {
    super(`${error}: ${failure}`)
    this.name = 'StateError'
    this.error = error
    this.failure = failure.slice(0, causeLimit)
    this.location = location
  }
}

/** Characters of a cause; Step Functions keeps no more. */
const causeLimit = 32_768

const timeouts = ['States.Timeout', 'States.HeartbeatTimeout']

/** What no wildcard matches. */
const terminal = ['States.Runtime', 'States.DataLimitExceeded']

/**
 * Whether a retrier or catcher with these `ErrorEquals` takes the error. By the Amazon States Language: `States.ALL`
 * takes all but the terminal errors, `States.TaskFailed` also leaves out timeouts, `States.Timeout` takes a missed
 * heartbeat too, and `States.Runtime` always fails the execution, even when it is named.
 */
export function errorMatches(errorEquals: readonly string[], error: string): boolean {
  if (error === 'States.Runtime') return false
  return errorEquals.some((pattern) => {
    if (pattern === error) return true
    if (pattern === 'States.ALL') return !terminal.includes(error)
    if (pattern === 'States.TaskFailed') return !terminal.includes(error) && !timeouts.includes(error)
    return pattern === 'States.Timeout' && timeouts.includes(error)
  })
}
