import * as z from 'zod'
import type { HistoryEvent } from '../states/history.ts'
import type { ExecutionDescription, Interpreter } from '../states/interpreter.ts'

/** Names one execution, as in the console's addresses. */
export interface ExecutionRef {
  readonly machine: string
  readonly name: string
  readonly status: ExecutionDescription['status']
}

/** A line in the list of executions: input and output can be large and are left to the single one. */
export interface ExecutionLine extends ExecutionRef {
  readonly executionArn: string
  readonly startDate: string
  readonly stopDate?: string
  readonly transitions: number
}

/** One execution with its history, and with those that it started or was started by. */
export interface ExecutionView {
  readonly execution: ExecutionDescription
  readonly parent?: ExecutionRef
  readonly children: readonly ExecutionRef[]
  readonly events: readonly HistoryEvent[]
}

/** Newest first. */
export function executionLines(interpreter: Interpreter): ExecutionLine[] {
  return interpreter.list().map((execution) => {
    const { machine, name, status, executionArn, startDate, stopDate, transitions } = execution
    return { machine, name, status, executionArn, startDate, transitions, ...(stopDate !== undefined && { stopDate }) }
  })
}

/** Undefined when there is no such execution. */
export function findExecution(interpreter: Pick<Interpreter, 'list'>, machine: string, name: string) {
  return interpreter.list().find((execution) => execution.machine === machine && execution.name === name)
}

export function executionView(interpreter: Interpreter, execution: ExecutionDescription): ExecutionView {
  const all = interpreter.list()
  const startedBy = parentOf(execution)
  const parent = all.find(({ executionArn }) => executionArn === startedBy)
  const children = all.filter((other) => parentOf(other) === execution.executionArn)
  return {
    execution,
    ...(parent && { parent: ref(parent) }),
    children: children.map(ref).reverse(),
    events: interpreter.history(execution.executionArn),
  }
}

const ref = ({ machine, name, status }: ExecutionDescription): ExecutionRef => ({ machine, name, status })

/**
 * The input names the execution that started it, as AWS's own console expects it:
 * https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
 */
const startedBySchema = z.object({ AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: z.string() })

function parentOf({ input }: ExecutionDescription): string | undefined {
  // Only inputs that can have it are parsed: all of them are looked through for one view.
  if (!input.includes('AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID')) return undefined
  return startedBySchema.safeParse(JSON.parse(input)).data?.AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID
}
