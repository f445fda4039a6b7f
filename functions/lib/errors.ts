/**
 * Base of every error that Lockstep raises on purpose. `name` is what a state machine's Retry and Catch
 * match on; the message says what happened and to which object; `next` says what a person can do about it.
 */
export class LockstepError extends Error {
  readonly next: string

  constructor(name: string, message: string, next: string, options?: ErrorOptions) {
    super(`${message} ${next}`, options)
    this.name = name
    this.next = next
  }
}
