import { LockstepError } from '../errors.ts'

/** `gone`: nobody waits for an answer to this token any more. */
export type TokenAnswer = 'taken' | 'gone'

/**
 * Answers tasks of state machines that wait. A token is a secret. Every method may reject with TaskTokensUnavailable.
 */
export interface TaskTokens {
  /** `output`: JSON. */
  succeed(token: string, output: unknown): Promise<TokenAnswer>
  fail(token: string, failure: { readonly error: string; readonly cause: string }): Promise<TokenAnswer>
  /** Somebody still works on the answer. */
  heartbeat(token: string): Promise<TokenAnswer>
}

/** Step Functions did not take an answer: it is given again by the next scan. */
export class TaskTokensUnavailable extends LockstepError {
  constructor(reason: string) {
    const next = 'It is tried again; if that goes on, check that this role has states:SendTask* on the state machine.'
    super('TaskTokensUnavailable', `Step Functions did not take the answer to a task (${reason}).`, next)
  }
}
