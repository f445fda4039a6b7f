import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { z } from 'zod'
import { listenOnLoopback } from '../loopback.ts'
import { type Activity, noActivity } from '../virtual-clock.ts'
import type { HistoryEvent } from './history.ts'
import type { ExecutionDescription, Interpreter } from './interpreter.ts'
import type { Json } from './jsonata-expression.ts'
import { type RefusalCode, StatesRefusal } from './states-refusal.ts'

const bodyLimitBytes = 1024 * 1024
const contentType = 'application/x-amz-json-1.0'
const pageSize = 100

export interface StepFunctionsServer {
  /** `http://127.0.0.1:<port>`: the `endpoint` of an SFNClient. */
  readonly url: string
  /** Cuts every connection and stops listening. */
  close(): Promise<void>
}

export interface StepFunctionsServerOptions {
  readonly interpreter: Interpreter
  /** Told of every request while it is worked on. */
  readonly activity?: Activity
  /** Default: any free port. Always on 127.0.0.1. */
  readonly port?: number
}

/**
 * Step Functions over HTTP (AWS JSON 1.0), for one interpreter: what @aws-sdk/client-sfn calls, as far as Lockstep
 * uses it. Signatures are not checked: it listens on the loopback interface only.
 */
export async function startStepFunctionsServer(options: StepFunctionsServerOptions): Promise<StepFunctionsServer> {
  const { interpreter, activity = noActivity } = options
  const server = createServer((request, response) => {
    const end = activity.begin()
    response.on('close', end)
    serve(interpreter, request)
      .then((body) => answer(response, 200, body))
      .catch((error) => answerError(response, error))
  })
  return listenOnLoopback(server, options.port)
}

type Call = (interpreter: Interpreter, body: unknown) => Json

async function serve(interpreter: Interpreter, request: IncomingMessage): Promise<Json> {
  const [service, name = ''] = String(request.headers['x-amz-target']).split('.')
  const call = service === 'AWSStepFunctions' && Object.hasOwn(calls, name) ? calls[name] : undefined
  const body = await bodyOf(request)
  if (!call) throw new ProtocolError('UnknownOperationException', `Operation "${name}" is not served here.`)
  return call(interpreter, body)
}

/** A request that is not even one of the protocol. */
class ProtocolError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > bodyLimitBytes) throw new ProtocolError('SerializationException', 'The request is too large.')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString() || '{}')
  } catch {
    throw new ProtocolError('SerializationException', 'The request is not JSON.')
  }
}

function answer(response: ServerResponse, status: number, body: Json): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': contentType }).end(JSON.stringify(body))
}

function answerError(response: ServerResponse, error: unknown): void {
  const known = error instanceof StatesRefusal || error instanceof ProtocolError
  if (known) answer(response, 400, { __type: `com.amazonaws.states#${error.code}`, message: error.message })
  else answer(response, 500, { __type: 'InternalFailure', message: 'The interpreter failed.' })
}

/** Declares an operation: its request is parsed before it is called. */
function operation<Request>(
  schema: z.ZodType<Request>,
  call: (interpreter: Interpreter, request: Request) => Json,
): Call {
  return (interpreter, body) => {
    const request = schema.safeParse(body)
    if (request.success) return call(interpreter, request.data)
    throw new StatesRefusal(
      'ValidationException',
      `The request is not valid: ${z.prettifyError(request.error)}.`,
      'Correct it.',
    )
  }
}

const arn = z.string().min(1).max(256)
const token = z.string().min(1).max(2048)
const page = { maxResults: z.int().min(0).max(1000).optional(), nextToken: z.string().max(1024).optional() }
const error = { error: z.string().max(256).optional(), cause: z.string().max(32_768).optional() }

const calls: Readonly<Record<string, Call>> = {
  StartExecution: operation(
    z.object({ stateMachineArn: arn, name: z.string().optional(), input: z.string().default('{}') }),
    (interpreter, { stateMachineArn: machine, name, input }) => {
      const value = jsonOf(input, 'InvalidExecutionInput')
      const { executionArn, startDate } = interpreter.start({ machine, name, input: value })
      return { executionArn, startDate: seconds(startDate) }
    },
  ),
  DescribeExecution: operation(z.object({ executionArn: arn }), (interpreter, { executionArn }) =>
    describedExecution(interpreter.describe(executionArn)),
  ),
  ListExecutions: operation(
    z.object({
      stateMachineArn: arn,
      statusFilter: z.enum(['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED']).optional(),
      ...page,
    }),
    (interpreter, { stateMachineArn: machine, statusFilter: status, ...paging }) => {
      const { items, nextToken } = paged(interpreter.list({ machine, ...(status && { status }) }), paging)
      return { executions: items.map(listedExecution), ...nextToken }
    },
  ),
  GetExecutionHistory: operation(
    z.object({
      executionArn: arn,
      reverseOrder: z.boolean().default(false),
      includeExecutionData: z.boolean().default(true),
      ...page,
    }),
    (interpreter, { executionArn, reverseOrder, includeExecutionData, ...paging }) => {
      const history = interpreter.history(executionArn)
      const { items, nextToken } = paged(reverseOrder ? history.toReversed() : history, paging)
      const shown = includeExecutionData ? items : items.map(withoutData)
      return { events: shown.map((event) => ({ ...event, timestamp: seconds(event.timestamp) }) as Json), ...nextToken }
    },
  ),
  StopExecution: operation(z.object({ executionArn: arn, ...error }), (interpreter, { executionArn, error, cause }) => {
    const { stopDate } = interpreter.stop(executionArn, { ...(error && { error }), ...(cause && { cause }) })
    return { stopDate: seconds(stopDate) }
  }),
  SendTaskSuccess: operation(z.object({ taskToken: token, output: z.string() }), (interpreter, request) => {
    interpreter.sendTaskSuccess(request.taskToken, jsonOf(request.output, 'InvalidOutput'))
    return {}
  }),
  SendTaskFailure: operation(z.object({ taskToken: token, ...error }), (interpreter, { taskToken, error, cause }) => {
    interpreter.sendTaskFailure(taskToken, { ...(error && { error }), ...(cause && { cause }) })
    return {}
  }),
  SendTaskHeartbeat: operation(z.object({ taskToken: token }), (interpreter, { taskToken }) => {
    interpreter.sendTaskHeartbeat(taskToken)
    return {}
  }),
  ListStateMachines: operation(z.object(page), (interpreter, paging) => {
    const { items, nextToken } = paged(interpreter.machines(), paging)
    const stateMachines = items.map(({ name, arn }) => ({
      name,
      stateMachineArn: arn,
      type: 'STANDARD',
      creationDate: 0,
    }))
    return { stateMachines, ...nextToken }
  }),
  DescribeStateMachine: operation(z.object({ stateMachineArn: arn }), (interpreter, { stateMachineArn }) => {
    const machine = interpreter.machines().find((one) => one.arn === stateMachineArn)
    if (!machine) {
      throw new StatesRefusal('StateMachineDoesNotExist', `There is no ${stateMachineArn}.`, 'List the state machines.')
    }
    const { name, definition } = machine
    const roleArn = `arn:aws:iam::${stateMachineArn.split(':')[4]}:role/${name}`
    return {
      stateMachineArn,
      name,
      roleArn,
      definition: definition.text,
      type: 'STANDARD',
      status: 'ACTIVE',
      creationDate: 0,
    }
  }),
}

function jsonOf(text: string, code: RefusalCode): Json {
  try {
    return JSON.parse(text)
  } catch {
    throw new StatesRefusal(code, 'The text is not JSON.', 'Send a JSON document.')
  }
}

/** The protocol counts time in seconds since the epoch. */
const seconds = (isoTime: string): number => Date.parse(isoTime) / 1000

function listedExecution({ executionArn, stateMachineArn, name, status, startDate, stopDate }: ExecutionDescription) {
  return {
    executionArn,
    stateMachineArn,
    name,
    status,
    startDate: seconds(startDate),
    ...(stopDate !== undefined && { stopDate: seconds(stopDate) }),
  }
}

function describedExecution(description: ExecutionDescription): Json {
  const { input, output, error, cause } = description
  const included = { included: true }
  return {
    ...listedExecution(description),
    input,
    inputDetails: included,
    ...(output !== undefined && { output, outputDetails: included }),
    ...(error !== undefined && { error }),
    ...(cause !== undefined && { cause }),
  }
}

/** Without what executions were given and gave. */
function withoutData(event: HistoryEvent): HistoryEvent {
  const drop = new Set(['input', 'output', 'parameters', 'inputDetails', 'outputDetails'])
  return JSON.parse(JSON.stringify(event, (key, value) => (drop.has(key) ? undefined : value)))
}

/** One page of a list that only grows at its end while it is read; the token is where the next page begins. */
function paged<Item>(
  all: readonly Item[],
  { maxResults, nextToken }: { maxResults?: number | undefined; nextToken?: string | undefined },
): { items: readonly Item[]; nextToken: { nextToken?: string } } {
  const at = nextToken === undefined ? '0' : Buffer.from(nextToken, 'base64url').toString()
  if (!/^\d{1,9}$/.test(at)) {
    throw new StatesRefusal('InvalidToken', 'The nextToken is not one of ours.', 'Begin with the first page.')
  }
  const from = Number(at)
  const to = from + (maxResults || pageSize)
  const more = to < all.length
  return {
    items: all.slice(from, to),
    nextToken: more ? { nextToken: Buffer.from(String(to)).toString('base64url') } : {},
  }
}
