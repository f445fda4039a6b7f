import {
  InvalidToken,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  type SFNClient,
  TaskDoesNotExist,
  TaskTimedOut,
} from '@aws-sdk/client-sfn'
import { type TaskTokens, TaskTokensUnavailable, type TokenAnswer } from './task-tokens.ts'

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
