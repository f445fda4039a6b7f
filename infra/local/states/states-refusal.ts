import { LockstepError } from '../../../functions/lib/errors.ts'

export type RefusalCode =
  | 'ExecutionAlreadyExists'
  | 'ExecutionDoesNotExist'
  | 'InvalidExecutionInput'
  | 'InvalidName'
  | 'InvalidOutput'
  | 'InvalidToken'
  | 'StateMachineDoesNotExist'
  | 'TaskDoesNotExist'
  | 'TaskTimedOut'
  | 'ValidationException'

/** A call that Step Functions would answer with this error. */
export class StatesRefusal extends LockstepError {
  readonly code: RefusalCode

  constructor(code: RefusalCode, message: string, next: string) {
    super(code, message, next)
    this.code = code
  }
}
