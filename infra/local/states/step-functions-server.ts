import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as z from 'zod'
import { type Activity, noActivity } from '../virtual-clock.ts'
import type { ExecutionDescription, Interpreter } from './interpreter.ts'
import type { Json } from './jsonata-expression.ts'
import { StatesRefusal } from './states-refusal.ts'

export interface StepFunctionsServer {
  /** Endpoint for @aws-sdk/client-sfn. */
  readonly url: string
  close(): Promise<void>
}

/** Step Functions takes inputs of 256 KiB; the rest is room for the envelope and for escapes. */
const bodyLimitBytes = 1024 * 1024

/** Step Functions over HTTP (AWS JSON 1.0), as @aws-sdk/client-sfn speaks it. Signatures are not checked. */
export async function startStepFunctionsServer(options: {
  readonly interpreter: Interpreter
  readonly activity?: Activity
  readonly port?: number
}): Promise<StepFunctionsServer> {
  const { interpreter, activity = noActivity, port = 0 } = options
  const server = createServer(async (request, response) => {
    response.on('close', activity.begin())
    const { status, body } = await answer(interpreter, request)
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' })
    response.end(JSON.stringify(body))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(interpreter: Interpreter, request: IncomingMessage): Promise<{ status: number; body: object }> {
  try {
    const target = /^AWSStepFunctions\.(\w+)$/.exec(String(request.headers['x-amz-target']))?.[1] ?? ''
    const action = Object.hasOwn(actions, target) ? actions[target as keyof typeof actions] : undefined
    if (!action) throw refused('ValidationException', `Step Functions has no action ${target} here.`)
    return { status: 200, body: action(interpreter, await bodyOf(request)) }
  } catch (error) {
    if (error instanceof StatesRefusal) return { status: 400, body: { __type: error.code, message: error.message } }
    return { status: 500, body: { __type: 'InternalServerError', message: 'The stand-in failed.' } }
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > bodyLimitBytes) throw refused('ValidationException', 'The request is too large.')
    chunks.push(chunk as Buffer)
  }
  return json(Buffer.concat(chunks).toString('utf8'), 'ValidationException')
}

const arn = z.string().max(256)
const token = z.string().max(2048)

const schemas = {
  start: z.object({ stateMachineArn: arn, name: z.string().optional(), input: z.string().default('{}') }),
  execution: z.object({ executionArn: arn }),
  machine: z.object({ stateMachineArn: arn }),
  history: z.object({
    executionArn: arn,
    maxResults: z.int().min(0).max(1000).default(0),
    reverseOrder: z.boolean().default(false),
    nextToken: z.string().optional(),
  }),
  list: z.object({
    stateMachineArn: arn,
    statusFilter: z.string().optional(),
    maxResults: z.int().min(0).max(1000).default(0),
    nextToken: z.string().optional(),
  }),
  stop: z.object({ executionArn: arn, error: z.string().optional(), cause: z.string().optional() }),
  success: z.object({ taskToken: token, output: z.string() }),
  failure: z.object({ taskToken: token, error: z.string().default(''), cause: z.string().default('') }),
  heartbeat: z.object({ taskToken: token }),
}

type Action = (interpreter: Interpreter, body: unknown) => object

const actions = {
  StartExecution: (interpreter, body) => {
    const { stateMachineArn, name = crypto.randomUUID(), input } = parse(schemas.start, body)
    if (!isName(name)) throw refused('InvalidName', `${JSON.stringify(name)} is no name for an execution.`)
    const machine = machineOf(interpreter, stateMachineArn)
    const executionArn = interpreter.start({ machine, name, input: json(input, 'InvalidExecutionInput') })
    return { executionArn, startDate: seconds(interpreter.describe(executionArn).startDate) }
  },
  DescribeExecution: (interpreter, body) =>
    described(interpreter.describe(parse(schemas.execution, body).executionArn)),
  GetExecutionHistory: (interpreter, body) => {
    const { executionArn, maxResults, reverseOrder, nextToken } = parse(schemas.history, body)
    const events = interpreter.history(executionArn).map((event) => ({ ...event, timestamp: seconds(event.timestamp) }))
    const { items, ...rest } = page(reverseOrder ? events.reverse() : events, maxResults || 100, nextToken)
    return { events: items, ...rest }
  },
  ListExecutions: (interpreter, body) => {
    const { stateMachineArn, statusFilter, maxResults, nextToken } = parse(schemas.list, body)
    const all = interpreter.list({ machine: machineOf(interpreter, stateMachineArn) })
    const wanted = all.filter(({ status }) => statusFilter === undefined || status === statusFilter)
    const { items, ...rest } = page(wanted, maxResults || 100, nextToken)
    return { executions: items.map(listed), ...rest }
  },
  StopExecution: (interpreter, body) => {
    const { executionArn, error, cause } = parse(schemas.stop, body)
    interpreter.stop(executionArn, { error, cause })
    return { stopDate: seconds(interpreter.describe(executionArn).stopDate) }
  },
  SendTaskSuccess: (interpreter, body) => {
    const { taskToken, output } = parse(schemas.success, body)
    interpreter.sendTaskSuccess(taskToken, json(output, 'InvalidOutput'))
    return {}
  },
  SendTaskFailure: (interpreter, body) => {
    const { taskToken, error, cause } = parse(schemas.failure, body)
    interpreter.sendTaskFailure(taskToken, error, cause)
    return {}
  },
  SendTaskHeartbeat: (interpreter, body) => {
    interpreter.sendTaskHeartbeat(parse(schemas.heartbeat, body).taskToken)
    return {}
  },
  ListStateMachines: (interpreter) => ({
    stateMachines: Object.keys(interpreter.machines).map((name) => ({
      ...{ name, stateMachineArn: interpreter.machineArn(name), type: 'STANDARD', creationDate: 0 },
    })),
  }),
  DescribeStateMachine: (interpreter, body) => {
    const { stateMachineArn } = parse(schemas.machine, body)
    const name = machineOf(interpreter, stateMachineArn)
    const definition = interpreter.machines[name]?.text
    return { stateMachineArn, name, definition, type: 'STANDARD', status: 'ACTIVE', creationDate: 0, roleArn: '' }
  },
} satisfies Record<string, Action>

function machineOf(interpreter: Interpreter, stateMachineArn: string): string {
  const name = Object.keys(interpreter.machines).find((known) => interpreter.machineArn(known) === stateMachineArn)
  if (name === undefined) throw refused('StateMachineDoesNotExist', `There is no state machine ${stateMachineArn}.`)
  return name
}

/** At most 80 characters, without white space, brackets, wildcards and what needs an escape in an ARN. */
function isName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return name.length > 0 && name.length <= 80 && !/[\s<>{}[\]?*"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f]/.test(name)
}

function described({ machine: _, transitions: __, parent: ___, ...description }: ExecutionDescription): object {
  const { startDate, stopDate } = description
  return {
    ...description,
    startDate: seconds(startDate),
    ...(stopDate !== undefined && { stopDate: seconds(stopDate) }),
  }
}

function listed(description: ExecutionDescription): object {
  const { executionArn, stateMachineArn, name, status, startDate, stopDate } = description
  const times = { startDate: seconds(startDate), ...(stopDate !== undefined && { stopDate: seconds(stopDate) }) }
  return { executionArn, stateMachineArn, name, status, ...times }
}

/** The token of a page is where it begins. */
function page<T>(all: readonly T[], size: number, nextToken: string | undefined): { items: T[]; nextToken?: string } {
  const from = Number(nextToken ?? 0)
  if (!Number.isSafeInteger(from) || from < 0) throw refused('InvalidToken', 'This is no token of a page.')
  const items = all.slice(from, from + size)
  return from + size < all.length ? { items, nextToken: String(from + size) } : { items }
}

/** AWS JSON writes times as seconds. */
function seconds(time: number | string | undefined): number | undefined {
  return time === undefined ? undefined : new Date(time).getTime() / 1000
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  throw refused('ValidationException', z.prettifyError(parsed.error))
}

function json(text: string, code: StatesRefusal['code']): Json {
  try {
    return JSON.parse(text)
  } catch {
    throw refused(code, 'It is not JSON.')
  }
}

const refused = (code: StatesRefusal['code'], message: string) =>
  new StatesRefusal(code, message, 'Correct the request.')
