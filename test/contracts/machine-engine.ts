import type { Clock } from '../../functions/lib/clock.ts'
import { loadDefinition } from '../../infra/local/states/definition.ts'
import { Interpreter, type TaskHandler } from '../../infra/local/states/interpreter.ts'
import type { Json } from '../../infra/local/states/jsonata-expression.ts'
import { VirtualClock } from '../../infra/local/virtual-clock.ts'
import { type ExecutionTrail, executionTrail } from './machine-trail.ts'

export interface ExecutionStart {
  readonly machine: string
  readonly name: string
  readonly input: Json
}

/** Machines that an engine has read, and functions for them. Refusals are errors with the name that the AWS SDK gives. */
export interface LoadedMachines {
  /** Answers the execution's ARN. */
  start(start: ExecutionStart): Promise<string>
  /** Resolves once it has ended. */
  ended(executionArn: string): Promise<ExecutionTrail>
  stop(executionArn: string, failure?: { error?: string; cause?: string }): Promise<void>
  sendTaskSuccess(token: string, output: Json): Promise<void>
  sendTaskFailure(token: string, failure: { error: string; cause: string }): Promise<void>
  sendTaskHeartbeat(token: string): Promise<void>
}

/** Something that runs state machines as Step Functions does. */
export interface MachineEngine {
  /** What its waits and time limits go by. */
  readonly clock: Clock
  /**
   * `machines` are documents in the Amazon States Language, by name; a name is used once in the life of an engine.
   * `functions` are found by their name, and see only what these machines call.
   */
  load(
    machines: Readonly<Record<string, string>>,
    functions: Readonly<Record<string, TaskHandler>>,
  ): Promise<LoadedMachines>
  close(): Promise<void>
}

export const accountOfMachines = '000000000000'
export const regionOfMachines = 'us-east-1'
export const machineArn = (name: string): string =>
  `arn:aws:states:${regionOfMachines}:${accountOfMachines}:stateMachine:${name}`

/** Our interpreter, under a clock that jumps. */
export function interpreterEngine(): MachineEngine {
  const clock = new VirtualClock()
  const interpreters: Interpreter[] = []
  return {
    clock,
    load: async (machines, handlers) => {
      const definitions = Object.entries(machines).map(([name, document]) => [name, loadDefinition(document)] as const)
      const interpreter = new Interpreter({
        ...{ clock, activity: clock, handlers, machines: Object.fromEntries(definitions) },
        ...{ account: accountOfMachines, region: regionOfMachines },
      })
      interpreters.push(interpreter)
      return loadedBy(interpreter)
    },
    close: async () => {
      for (const interpreter of interpreters) await interpreter.close()
      clock.stop()
    },
  }
}

function loadedBy(interpreter: Interpreter): LoadedMachines {
  return {
    start: async (start) => interpreter.start(start).executionArn,
    ended: async (arn) => {
      await interpreter.finished(arn)
      return executionTrail(interpreter.history(arn))
    },
    stop: async (arn, failure) => void interpreter.stop(arn, failure),
    sendTaskSuccess: async (token, output) => interpreter.sendTaskSuccess(token, output),
    sendTaskFailure: async (token, failure) => interpreter.sendTaskFailure(token, failure),
    sendTaskHeartbeat: async (token) => interpreter.sendTaskHeartbeat(token),
  }
}
