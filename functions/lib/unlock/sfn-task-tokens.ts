import {
  InvalidToken,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  type SFNClient,
  TaskDoesNotExist,
  TaskTimedOut,
} from '@aws-sdk/client-sfn'
import { LockstepError } from '../errors.ts'
import type { TaskTokens, TokenAnswer } from './task-tokens.ts'

/** Step Functions did not take an answer: it is given again by the next scan. */
export class TaskTokensUnavailable extends LockstepError {
  constructor(reason: string) {
    const next = 'It is tried again; if that goes on, check that this role has states:SendTask* on the state machine.'
    super('TaskTokensUnavailable', `Step Functions did not take the answer to a task (${reason}).`, next)
  }
}

/** Tasks of Step Functions. */
export class SfnTaskTokens implements TaskTokens {
  private readonly client: SFNClient

  constructor(client: SFNClient) {
    this.client = client
  }

  succeed(taskToken: string, output: unknown): Promise<TokenAnswer> {
    return this.answer(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) }))
  }

  fail(taskToken: string, failure: { readonly error: string; readonly cause: string }): Promise<TokenAnswer> {
    return this.answer(new SendTaskFailureCommand({ taskToken, ...failure }))
  }

  heartbeat(taskToken: string): Promise<TokenAnswer> {
    return this.answer(new SendTaskHeartbeatCommand({ taskToken }))
  }

  private async answer(
    command: SendTaskSuccessCommand | SendTaskFailureCommand | SendTaskHeartbeatCommand,
  ): Promise<TokenAnswer> {
    try {
      // The overloads of `send` take one command each.
      await this.client.send(command as SendTaskHeartbeatCommand)
      return 'taken'
    } catch (error) {
      if (error instanceof TaskTimedOut || error instanceof TaskDoesNotExist || error instanceof InvalidToken)
        return 'gone'
      // Only its name: a message of a parser may quote the token.
      throw new TaskTokensUnavailable(error instanceof Error ? error.name : 'unknown error')
    }
  }
}
