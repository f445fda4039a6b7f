import { createHash } from 'node:crypto'
import * as z from 'zod'
import { type Branch, taskKey } from './branch.ts'
import type { DistributedMapState } from './definition.ts'
import type { Execution } from './execution.ts'
import type { Position } from './execution-store.ts'
import { inTurns } from './in-turns.ts'
import type { Json, Scope } from './jsonata-expression.ts'
import { wholeNumber } from './state-data.ts'
import { StateError } from './state-error.ts'

/** Executions of a Map run at once, as of Step Functions. */
const mostAtOnce = 10_000

const itemsSchema = z.array(z.custom<Json>((value) => value !== undefined))
const itemAddress = z.object({ Bucket: z.string(), Key: z.string() })
const resultAddress = z.object({ Bucket: z.string(), Prefix: z.string() })

/** One run of a distributed Map. */
interface MapRun {
  readonly execution: Execution
  readonly branch: Branch
  readonly state: DistributedMapState
  readonly position: Position
  /** A UUID: the same again after a restart. */
  readonly id: string
}

/**
 * Runs every item that is in a file in S3 as an execution of its own, and writes their ends to files in S3. Answers
 * where those are. Executions that fail are no failure of the Map: all of them are tolerated. Throws StateError
 * States.ItemReaderFailed and States.ResultWriterFailed.
 *
 * The events are those of
 * https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html, the files those of
 * https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
 */
export async function runDistributedMap(
  execution: Execution,
  branch: Branch,
  state: DistributedMapState,
  position: Position,
): Promise<Json> {
  const run: MapRun = { execution, branch, state, position, id: idOf(`${execution.arn} ${taskKey(branch, position)}`) }
  const scope = execution.scope(branch, position)
  const reader = await execution.evaluate(branch, state.ItemReader.Arguments, scope, 'ItemReader/Arguments')
  const writer = await execution.evaluate(branch, state.ResultWriter.Arguments, scope, 'ResultWriter/Arguments')
  const most = await execution.evaluate(branch, state.MaxConcurrency ?? 0, scope, 'MaxConcurrency')
  const atOnce = Math.min(wholeNumber(most, 'MaxConcurrency', 0) || mostAtOnce, mostAtOnce)
  const mapRunArn = arnOf(run)
  execution.emit(branch, [
    // How many there are is not known before the file is read.
    { type: 'MapStateStarted', mapStateStartedEventDetails: { length: 0 } },
    { type: 'MapRunStarted', mapRunStartedEventDetails: { mapRunArn } },
  ])
  try {
    const items = await readItems(run, reader)
    const children = await runItems(run, items, atOnce, scope)
    const details = await writeResults(run, writer, children)
    execution.emit(branch, [{ type: 'MapRunSucceeded' }, { type: 'MapStateSucceeded' }])
    return { MapRunArn: mapRunArn, ResultWriterDetails: details }
  } catch (error) {
    if (error instanceof StateError) {
      const mapRunFailedEventDetails = { error: error.error, cause: error.failure }
      execution.emit(branch, [{ type: 'MapRunFailed', mapRunFailedEventDetails }, { type: 'MapStateFailed' }])
    }
    throw error
  }
}

async function readItems({ execution }: MapRun, address: Json): Promise<readonly Json[]> {
  const { Bucket, Key } = itemAddress.parse(address)
  const text = await throughS3(execution, 'States.ItemReaderFailed', `Key ${Key} of bucket ${Bucket}`, () =>
    execution.services.objects.read(Bucket, Key),
  )
  const items = itemsSchema.safeParse(jsonIn(text))
  if (items.success) return items.data
  throw new StateError('States.ItemReaderFailed', `Key ${Key} of bucket ${Bucket} is no JSON array.`)
}

/** The executions of the items, in their order, once all have ended. One that cannot be started ends the others. */
async function runItems(run: MapRun, items: readonly Json[], atOnce: number, scope: Scope): Promise<Execution[]> {
  const failed = new AbortController()
  const signal = AbortSignal.any([run.branch.signal, failed.signal])
  const runItem = async (item: Json, index: number) => {
    const child = await startItem(run, item, index, scope)
    await ended(run, child, signal)
    return child
  }
  return inTurns(items, atOnce, signal, runItem, () => failed.abort())
}

async function startItem(run: MapRun, item: Json, index: number, scope: Scope): Promise<Execution> {
  const { execution, branch, state, position } = run
  const context = { ...(scope.states.context as Record<string, Json>), Map: { Item: { Index: index, Value: item } } }
  const seen: Scope = { ...scope, states: { ...scope.states, context } }
  const input =
    state.ItemSelector === undefined ? item : await execution.evaluate(branch, state.ItemSelector, seen, 'ItemSelector')
  const startedBy = { executionArn: execution.arn, task: `${taskKey(branch, position)}[${index}]`, awaited: true }
  const stateMachineArn = `${execution.stateMachineArn}/${state.Label}`
  return execution.services.startChild({ stateMachineArn, name: undefined, input, startedBy })
}

/** Stops the child when the Map is cut off. */
async function ended({ execution }: MapRun, child: Execution, signal: AbortSignal): Promise<void> {
  const stop = () => {
    if (!execution.isDetached) child.stop(undefined, `Its parent ${execution.arn} no longer waits for it.`)
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  await child.closed
  signal.removeEventListener('abort', stop)
}

/** Outputs alone of those that succeeded, and whole descriptions of the others. A kind of which there is none has no file. */
async function writeResults(run: MapRun, address: Json, children: readonly Execution[]): Promise<Json> {
  const { execution, id } = run
  const { Bucket, Prefix } = resultAddress.parse(address)
  const folder = `${Prefix}/${id}`
  const write = (name: string, content: Json) => {
    const text = JSON.stringify(content)
    const Key = `${folder}/${name}`
    return throughS3(execution, 'States.ResultWriterFailed', `Key ${Key} of bucket ${Bucket}`, async () => {
      await execution.services.objects.write(Bucket, Key, text)
      return { Key, Size: Buffer.byteLength(text) }
    })
  }
  const succeeded = children.filter(({ status }) => status === 'SUCCEEDED').map(outputOf)
  const failed = children.filter(({ status }) => status !== 'SUCCEEDED').map(descriptionOf)
  const manifest = {
    DestinationBucket: Bucket,
    MapRunArn: arnOf(run),
    ResultFiles: {
      FAILED: failed.length > 0 ? [await write('FAILED_0.json', failed)] : [],
      PENDING: [],
      SUCCEEDED: succeeded.length > 0 ? [await write('SUCCEEDED_0.json', succeeded)] : [],
    },
  }
  const { Key } = await write('manifest.json', manifest)
  return { Bucket, Key }
}

function outputOf({ history }: Execution): Json {
  return jsonIn(history.at(-1)?.executionSucceededEventDetails?.output ?? 'null') ?? null
}

function descriptionOf({ arn, started, status, stateMachineArn, history }: Execution): Json {
  const last = history.at(-1)
  const failure =
    last?.executionFailedEventDetails ?? last?.executionAbortedEventDetails ?? last?.executionTimedOutEventDetails
  return {
    ...(failure?.cause !== undefined && { Cause: failure.cause }),
    ...(failure?.error !== undefined && { Error: failure.error }),
    ...{ ExecutionArn: arn, Input: started.input, InputDetails: { Included: true }, Name: started.name },
    ...{ StartDate: new Date(started.startedAt).toISOString(), StateMachineArn: stateMachineArn, Status: status },
    StopDate: last?.timestamp ?? '',
  }
}

/** While S3 is asked, the clock is told of it. */
async function throughS3<Answer>(
  { services }: Execution,
  failure: string,
  what: string,
  call: () => Promise<Answer>,
): Promise<Answer> {
  const end = services.activity.begin()
  try {
    return await call()
  } catch (error) {
    throw new StateError(failure, `${what}: ${error instanceof Error ? error.name : 'unknown error'}`)
  } finally {
    end()
  }
}

function jsonIn(text: string): Json | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function arnOf({ execution, state, id }: MapRun): string {
  return `${execution.stateMachineArn.replace(':stateMachine:', ':mapRun:')}/${state.Label}:${id}`
}

function idOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}
