import type { TaskTokens, TokenAnswer } from '../../functions/lib/approval/task-tokens.ts'
import type { Interpreter } from './states/interpreter.ts'
import { type RefusalCode, StatesRefusal } from './states/states-refusal.ts'

const goneCodes: ReadonlySet<RefusalCode> = new Set(['InvalidToken', 'TaskDoesNotExist', 'TaskTimedOut'])

/** Tasks of the interpreter, without the detour over HTTP: the functions that it runs are made before its server. */
export class InterpreterTaskTokens implements TaskTokens {
  private readonly interpreter: () => Interpreter

  constructor(interpreter: () => Interpreter) {
    this.interpreter = interpreter
  }

  succeed(token: string, output: unknown): Promise<TokenAnswer> {
    return answered(() => this.interpreter().sendTaskSuccess(token, JSON.parse(JSON.stringify(output))))
  }

  fail(token: string, failure: { readonly error: string; readonly cause: string }): Promise<TokenAnswer> {
    return answered(() => this.interpreter().sendTaskFailure(token, failure))
  }

  heartbeat(token: string): Promise<TokenAnswer> {
    return answered(() => this.interpreter().sendTaskHeartbeat(token))
  }
}

async function answered(answer: () => void): Promise<TokenAnswer> {
  try {
    answer()
    return 'taken'
  } catch (error) {
    if (error instanceof StatesRefusal && goneCodes.has(error.code)) return 'gone'
    throw error
  }
}
