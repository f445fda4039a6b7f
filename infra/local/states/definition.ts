import * as z from 'zod'
import { DefinitionInvalid, type Problem } from './definition-invalid.ts'
import { definitionProblems } from './definition-rules.ts'
import type { Json } from './jsonata-expression.ts'
import { runsDistributed } from './map-mode.ts'

const expression = z.string().regex(/^\{%[\s\S]*%\}$/, 'must be an expression {% ... %}')
const text = z.string()
const json = z.custom<Json>((value) => value !== undefined)
const seconds = z.union(
  [z.int().min(1).max(99_999_999), expression],
  'must be a whole number of at least 1, or an expression {% ... %}',
)
const waitSeconds = z.union(
  [z.int().min(0).max(99_999_999), expression],
  'must be a whole number, or an expression {% ... %}',
)

const variables = z
  .record(z.string().regex(/^(?!states$)[A-Za-z_][A-Za-z0-9_]{0,79}$/, 'is no name of a variable'), json)
  .optional()
const comment = { Comment: text.optional() }
const output = { Output: json.optional() }
const result = { ...comment, ...output, Assign: variables }
const flow = { Next: text.optional(), End: z.literal(true).optional() }

const retrier = z.strictObject({
  ErrorEquals: z.array(text).min(1),
  IntervalSeconds: z.int().min(1).max(99_999_999).default(1),
  BackoffRate: z.number().min(1).default(2),
  MaxAttempts: z.int().min(0).max(99_999_999).default(3),
  MaxDelaySeconds: z.int().min(1).max(31_622_400).optional(),
  JitterStrategy: z.enum(['FULL', 'NONE']).default('NONE'),
})
const catcher = z.strictObject({ ErrorEquals: z.array(text).min(1), Next: text, Assign: variables, ...output })
const recovery = { Retry: z.array(retrier).default([]), Catch: z.array(catcher).default([]) }

const task = { Type: z.literal('Task'), ...result, ...flow, ...recovery, TimeoutSeconds: seconds.optional() }
const invokeArguments = z.union(
  [expression, z.strictObject({ FunctionName: text, Payload: json.optional() })],
  'must be FunctionName and Payload, or an expression {% ... %}',
)
const startArguments = z.union(
  [expression, z.strictObject({ StateMachineArn: text, Name: text.optional(), Input: json.optional() })],
  'must be StateMachineArn, Name and Input, or an expression {% ... %}',
)

const invokeTask = z.strictObject({
  ...task,
  Resource: z.literal('arn:aws:states:::lambda:invoke'),
  Arguments: invokeArguments,
})
const tokenTask = z.strictObject({
  ...task,
  Resource: z.literal('arn:aws:states:::lambda:invoke.waitForTaskToken'),
  Arguments: invokeArguments,
  HeartbeatSeconds: seconds.optional(),
})
const nestedTask = z.strictObject({
  ...task,
  Resource: z.literal('arn:aws:states:::states:startExecution.sync:2'),
  Arguments: startArguments,
})
const startTask = z.strictObject({
  ...task,
  Resource: z.literal('arn:aws:states:::states:startExecution'),
  Arguments: startArguments,
})
const choice = z.strictObject({
  Type: z.literal('Choice'),
  ...result,
  Choices: z.array(z.strictObject({ ...result, Condition: expression, Next: text })).min(1),
  Default: text.optional(),
})
const wait = z.strictObject({
  Type: z.literal('Wait'),
  ...result,
  ...flow,
  Seconds: waitSeconds.optional(),
  Timestamp: z
    .union([z.iso.datetime({ offset: true }), expression], 'must be an ISO 8601 time, or an expression {% ... %}')
    .optional(),
})
const pass = z.strictObject({ Type: z.literal('Pass'), ...result, ...flow })
const succeed = z.strictObject({ Type: z.literal('Succeed'), ...comment, ...output })
const fail = z.strictObject({ Type: z.literal('Fail'), ...comment, Error: text.optional(), Cause: text.optional() })
const map = z.strictObject({
  Type: z.literal('Map'),
  ...result,
  ...flow,
  ...recovery,
  Items: z.union([z.array(json), expression], 'must be an array, or an expression {% ... %}').optional(),
  ItemSelector: json.optional(),
  MaxConcurrency: waitSeconds.optional(),
  ItemProcessor: z.strictObject({
    ...comment,
    ProcessorConfig: z.strictObject({ Mode: z.literal('INLINE') }).optional(),
    StartAt: text,
    States: z.record(z.string(), z.unknown()),
  }),
})

/** Another form of Map: what it may say differs as a whole. The items and the results are in S3, and no failure counts. */
const distributedMap = z.strictObject({
  Type: z.literal('Map'),
  ...result,
  ...flow,
  ...recovery,
  /** Names the executions of the items: `<machine>/<label>`. */
  Label: z.string().regex(/^[A-Za-z0-9_-]{1,40}$/, 'must be at most 40 letters, digits, - and _'),
  ItemReader: z.strictObject({
    Resource: z.literal('arn:aws:states:::s3:getObject'),
    ReaderConfig: z.strictObject({ InputType: z.literal('JSON') }),
    Arguments: z.strictObject({ Bucket: text, Key: text }),
  }),
  ItemSelector: json.optional(),
  MaxConcurrency: waitSeconds.optional(),
  ToleratedFailurePercentage: z.literal(100),
  ItemProcessor: z.strictObject({
    ...comment,
    ProcessorConfig: z.strictObject({ Mode: z.literal('DISTRIBUTED'), ExecutionType: z.literal('STANDARD') }),
    StartAt: text,
    States: z.record(z.string(), z.unknown()),
  }),
  ResultWriter: z.strictObject({
    Resource: z.literal('arn:aws:states:::s3:putObject'),
    Arguments: z.strictObject({ Bucket: text, Prefix: text }),
    WriterConfig: z.strictObject({ Transformation: z.literal('COMPACT'), OutputType: z.literal('JSON') }),
  }),
})

const tasks = [invokeTask, tokenTask, nestedTask, startTask] as const
const resource = z.discriminatedUnion('Resource', tasks, {
  error: `must be one of ${tasks.map((one) => one.shape.Resource.value).join(', ')}`,
})
const state = z.discriminatedUnion('Type', [resource, choice, wait, pass, succeed, fail, map], {
  error: 'must be one of Task, Choice, Wait, Pass, Succeed, Fail, Map',
})
const machine = z.strictObject({
  ...comment,
  QueryLanguage: z.literal('JSONata'),
  StartAt: text,
  States: z.record(z.string().min(1).max(80), z.unknown()),
  TimeoutSeconds: z.int().min(1).max(99_999_999).optional(),
})

type ParsedMap = z.infer<typeof map> | z.infer<typeof distributedMap>
type Parsed = z.infer<typeof state> | ParsedMap

export type TaskState = z.infer<typeof resource>
export type ChoiceState = z.infer<typeof choice>
export type WaitState = z.infer<typeof wait>
export type PassState = z.infer<typeof pass>
export type Retrier = z.infer<typeof retrier>
export type Catcher = z.infer<typeof catcher>

/** States and where they begin: a machine, or what a Map runs for each item. */
export interface Graph {
  readonly StartAt: string
  readonly States: Readonly<Record<string, State>>
}
export type MapState = Omit<z.infer<typeof map>, 'ItemProcessor'> & { readonly ItemProcessor: Graph }
/** Runs each item in an execution of its own, of `ItemProcessor` as a machine. */
export type DistributedMapState = Omit<z.infer<typeof distributedMap>, 'ItemProcessor'> & {
  readonly ItemProcessor: Graph
}
export type State = Exclude<Parsed, ParsedMap> | MapState | DistributedMapState

export const isDistributed = (state: MapState | DistributedMapState): state is DistributedMapState => 'Label' in state

/** A checked state machine. */
export interface Definition extends Graph {
  /** Of the whole execution. */
  readonly TimeoutSeconds: number | undefined
  /** The document, with its substitutions. */
  readonly text: string
}

/**
 * Reads a state machine in the Amazon States Language with JSONata. `${Name}` is replaced in the text first, as
 * CloudFormation's definition substitutions do. Only what the interpreter runs exactly as Step Functions is let
 * through. Throws DefinitionInvalid with every problem.
 */
export function loadDefinition(document: string, substitutions: Readonly<Record<string, string>> = {}): Definition {
  const problems: Problem[] = []
  const filled = substitute(document, substitutions, problems)
  const raw = readJson(filled, problems)
  if (raw === undefined) throw new DefinitionInvalid(problems)

  const shape = machine.safeParse(raw)
  if (!shape.success) problems.push(...problemsOf(shape.error, ''))
  const states = parseStates((raw as { States?: unknown } | null)?.States, 'States', problems)
  problems.push(...definitionProblems(raw))
  if (problems.length > 0 || !shape.success) throw new DefinitionInvalid(problems)
  return { StartAt: shape.data.StartAt, States: states, TimeoutSeconds: shape.data.TimeoutSeconds, text: filled }
}

function substitute(document: string, substitutions: Readonly<Record<string, string>>, problems: Problem[]): string {
  return document.replaceAll(/\$\{(\w+)\}/g, (placeholder, name: string) => {
    if (Object.hasOwn(substitutions, name)) return substitutions[name] ?? ''
    problems.push({ path: '', message: `${placeholder} has no substitution` })
    return placeholder
  })
}

function readJson(text: string, problems: Problem[]): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    problems.push({ path: '', message: `is not JSON: ${(error as Error).message}` })
    return undefined
  }
}

/** Each state on its own, so that a mistake in one does not hide those in the others. */
function parseStates(raw: unknown, path: string, problems: Problem[]): Record<string, State> {
  const states: [string, State][] = []
  for (const [name, value] of Object.entries(raw ?? {})) {
    const at = `${path}/${name}`
    const schema: z.ZodType<Parsed> = runsDistributed(value) ? distributedMap : state
    const parsed = schema.safeParse(value)
    if (!parsed.success) problems.push(...problemsOf(parsed.error, at))
    const inner = (value as { ItemProcessor?: { States?: unknown } } | null)?.ItemProcessor?.States
    const innerStates = inner === undefined ? {} : parseStates(inner, `${at}/ItemProcessor/States`, problems)
    if (parsed.success) states.push([name, withInner(parsed.data, innerStates)])
  }
  return Object.fromEntries(states)
}

function withInner(parsed: Parsed, States: Record<string, State>): State {
  if (parsed.Type !== 'Map') return parsed
  const ItemProcessor = { StartAt: parsed.ItemProcessor.StartAt, States }
  return 'Label' in parsed ? { ...parsed, ItemProcessor } : { ...parsed, ItemProcessor }
}

function problemsOf(error: z.ZodError, path: string): Problem[] {
  return error.issues.map((issue) => ({
    path: [path, ...issue.path.map(String)].filter((part) => part !== '').join('/'),
    message: issue.message,
  }))
}
