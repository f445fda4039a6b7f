import { type Definition, loadDefinition } from '../../../infra/local/states/definition.ts'
import { Interpreter, type InterpreterOptions, type TaskHandler } from '../../../infra/local/states/interpreter.ts'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'

export type States = Record<string, Record<string, unknown>>

/** A machine of these states that begins with the first one. */
export function machineOf(states: States, extra: Record<string, unknown> = {}): Definition {
  return loadDefinition(JSON.stringify(documentOf(states, extra)))
}

export function documentOf(states: States, extra: Record<string, unknown> = {}): Record<string, unknown> {
  return { QueryLanguage: 'JSONata', StartAt: Object.keys(states)[0], States: states, ...extra }
}

/** A task that invokes a function with the state's input, and ends unless told otherwise. */
export function invoke(FunctionName: string, extra: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    Type: 'Task',
    Resource: 'arn:aws:states:::lambda:invoke',
    Arguments: { FunctionName, Payload: '{% $states.input %}' },
    Output: '{% $states.result.Payload %}',
    ...('Next' in extra ? {} : { End: true }),
    ...extra,
  }
}

/** A task that hands its token to a function and waits for the answer. */
export function ask(FunctionName: string, extra: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    Type: 'Task',
    Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
    Arguments: { FunctionName, Payload: { token: '{% $states.context.Task.Token %}' } },
    TimeoutSeconds: 3600,
    ...('Next' in extra ? {} : { End: true }),
    ...extra,
  }
}

/** A distributed Map as far as the interpreter runs one: items in `b/items.json`, results below `b/results`. */
export function distributedMapOf(
  States: Record<string, Record<string, unknown>>,
  extra: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    Type: 'Map',
    Label: 'Each',
    ItemReader: {
      Resource: 'arn:aws:states:::s3:getObject',
      ReaderConfig: { InputType: 'JSON' },
      Arguments: { Bucket: 'b', Key: 'items.json' },
    },
    ToleratedFailurePercentage: 100,
    ItemProcessor: {
      ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
      StartAt: Object.keys(States)[0],
      States,
    },
    ResultWriter: {
      Resource: 'arn:aws:states:::s3:putObject',
      Arguments: { Bucket: 'b', Prefix: 'results' },
      WriterConfig: { Transformation: 'COMPACT', OutputType: 'JSON' },
    },
    ...('Next' in extra ? {} : { End: true }),
    ...extra,
  }
}

export type World = Omit<Partial<InterpreterOptions>, 'machines' | 'clock'> & {
  readonly machines?: Record<string, Definition>
  readonly clock?: VirtualClock
}

const clocks = new Set<VirtualClock>()

/** Ends the clocks of a test. */
export function stopClocks(): void {
  for (const clock of clocks) clock.stop()
  clocks.clear()
}

export function virtualClock(): VirtualClock {
  const clock = new VirtualClock(Date.UTC(2026, 0, 5, 9))
  clocks.add(clock)
  return clock
}

/** An interpreter on a virtual clock. */
export function interpreterOf(world: World): Interpreter & { clock: VirtualClock } {
  const clock = world.clock ?? virtualClock()
  const interpreter = new Interpreter({ handlers: {}, machines: {}, ...world, clock, activity: clock })
  return Object.assign(interpreter, { clock })
}

/** Runs one machine to its end. */
export async function runOnce(
  definition: Definition,
  { input = {}, handlers = {}, ...world }: World & { input?: Json } = {},
) {
  const interpreter = interpreterOf({ ...world, handlers, machines: { ...world.machines, main: definition } })
  const { executionArn } = interpreter.start({ machine: 'main', name: 'one', input })
  const description = await interpreter.finished(executionArn)
  return {
    interpreter,
    arn: executionArn,
    ...description,
    value: description.output === undefined ? undefined : (JSON.parse(description.output) as Json),
    history: interpreter.history(executionArn),
    seconds: (Date.parse(description.stopDate ?? '') - Date.parse(description.startDate)) / 1000,
  }
}

/** An error with a name, as functions throw. */
export function failing(name: string, message = `${name} happened`): Error {
  return Object.assign(new Error(message), { name })
}

/** A function that fails with each of the names in turn, then answers. */
export function failsThen(names: readonly string[], answer: Json): TaskHandler {
  const left = [...names]
  return async () => {
    const name = left.shift()
    if (name) throw failing(name)
    return answer
  }
}
