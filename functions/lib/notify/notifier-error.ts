import { LockstepError } from '../errors.ts'

/** What stands behind a channel did not answer, or has no time for us now: it can pass. */
export class NotifierUnavailable extends LockstepError {
  constructor(channel: string, reason: string) {
    super('NotifierUnavailable', `${channel} did not take a notification (${reason}).`, 'It is tried again.')
  }
}

/** What stands behind a channel does not want it: that does not pass by itself. */
export class NotifierRefused extends LockstepError {
  constructor(channel: string, reason: string, next: string) {
    super('NotifierRefused', `${channel} refused a notification (${reason}).`, next)
  }
}
