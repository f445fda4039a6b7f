import { isDeepStrictEqual } from 'node:util'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import type { LoadedMachines } from '../../contracts/machine-engine.ts'
import {
  type Call,
  comparable,
  type ExecutionTrail,
  isCutOff,
  type Visit,
  withoutStopped,
} from '../../contracts/machine-trail.ts'
import type { MotoEngine } from './step-functions.ts'
import { callsOf, type Family, type RecordedExecution } from './step-functions-recording.ts'

/** What an execution did in a recording and when it was replayed, without what is chance: to be equal. */
export interface Comparison {
  readonly execution: string
  readonly recorded: Json
  readonly replayed: Json
}

/**
 * Runs what an interpreter has run on moto's engine. Functions answer the same to the same payload, so that both are
 * given the same. Executions that were stopped, or that were still running, are stopped where they call a function
 * that the recording does not answer any more.
 */
export class Replayer {
  readonly #scripts = new Map<string, Script>()
  #machines: LoadedMachines | undefined

  /** `machines` are documents by name, as the interpreter had them. */
  static async on(engine: MotoEngine, machines: Readonly<Record<string, string>>): Promise<Replayer> {
    const replayer = new Replayer()
    replayer.#machines = await engine.loadFor(machines, ({ execution, functionName }) => {
      const script = replayer.#scripts.get(execution)
      return script && ((payload) => script.answer(functionName, payload as Json))
    })
    return replayer
  }

  async replay(family: Family): Promise<Comparison[]> {
    const machines = this.#machines
    if (!machines) throw new Error('no machines are loaded')
    for (const execution of family) this.#scripts.set(execution.arn, new Script(execution, machines))
    await machines.start(family[0])
    const comparisons: Comparison[] = []
    // Those that an execution has started are there once it has ended.
    for (const recorded of family) {
      const replayed = await machines.ended(recorded.arn).catch((error: Error) => error)
      comparisons.push({ execution: recorded.arn, ...comparison(recorded, replayed) })
    }
    return comparisons
  }
}

/** What the functions of one execution answer. */
class Script {
  readonly #execution: RecordedExecution
  readonly #machines: LoadedMachines
  readonly #left: Call[]

  constructor(execution: RecordedExecution, machines: LoadedMachines) {
    this.#execution = execution
    this.#machines = machines
    this.#left = callsOf(execution.trail).filter((call) => call.resource.startsWith('lambda:') && !isCutOff(call))
  }

  async answer(functionName: string, payload: Json): Promise<Json> {
    for (const [index, call] of this.#left.entries()) {
      const { FunctionName, Payload = {} } = call.parameters as { FunctionName?: Json; Payload?: Json }
      const tokens: string[] = []
      if (FunctionName !== functionName || !isSame(Payload, payload, tokens)) continue
      this.#left.splice(index, 1)
      return this.#play(call, tokens[0])
    }
    if (!isInterrupted(this.#execution)) throw named('NotRecorded', `${functionName} ${JSON.stringify(payload)}`)
    const { arn, error, cause } = this.#execution
    await this.#machines.stop(arn, { ...(error && { error }), ...(cause && { cause }) })
    throw named('Stopped', 'The execution has been stopped.')
  }

  async #play(call: Call, token: string | undefined): Promise<Json> {
    if (token === undefined) return outcomeOf(call)
    if (isAnsweredWithin(call)) {
      await this.#machines.sendTaskSuccess(token, call.result ?? null)
      return null
    }
    // A function that failed gave no answer, and nobody answered its token.
    if (call.submitted === undefined) return outcomeOf(call)
    if (call.result !== undefined) void this.#machines.sendTaskSuccess(token, call.result)
    else if (!call.error?.startsWith('States.')) {
      void this.#machines.sendTaskFailure(token, { error: call.error ?? '', cause: call.cause ?? '' })
    }
    return payloadOf(call.submitted)
  }
}

/** While the function was still at work, its task was done: what it answers then is of no account, and not recorded. */
const isAnsweredWithin = ({ resource, submitted, result }: Call): boolean =>
  resource.endsWith('.waitForTaskToken') && submitted === undefined && result !== undefined

const payloadOf = (result: Json): Json => (result as { Payload?: Json }).Payload ?? null

function outcomeOf({ result, error = '', cause = '' }: Call): Json | Promise<Json> {
  if (result !== undefined) return payloadOf(result)
  // It took too long: whoever waits for it gives up.
  if (error === 'States.Timeout') return new Promise(() => {})
  const { errorMessage } = JSON.parse(cause) as { errorMessage: string }
  throw named(error, errorMessage)
}

const named = (name: string, message: string): Error => Object.assign(new Error(message), { name })

/** Whether a payload is the recorded one. Tokens are blotted out of recordings; those found in their place are added. */
function isSame(recorded: Json, payload: Json, tokens: string[]): boolean {
  if (recorded === '***' && typeof payload === 'string') return tokens.push(payload) > 0
  if (recorded === null || payload === null || typeof recorded !== 'object' || typeof payload !== 'object') {
    return recorded === payload
  }
  const [names, others] = [Object.keys(recorded), Object.keys(payload)]
  if (!isDeepStrictEqual(names.toSorted(), others.toSorted())) return false
  const [one, other] = [recorded, payload] as [Record<string, Json>, Record<string, Json>]
  return names.every((name) => isSame(one[name] ?? null, other[name] ?? null, tokens))
}

const isInterrupted = ({ status }: ExecutionTrail): boolean => status === 'RUNNING' || status === 'ABORTED'

function comparison(recorded: RecordedExecution, replayed: ExecutionTrail | Error): { recorded: Json; replayed: Json } {
  if (replayed instanceof Error) return { recorded: 'an execution', replayed: replayed.message }
  if (isInterrupted(recorded)) {
    const { length } = recorded.trail
    return { recorded: beginning(recorded.trail, length), replayed: beginning(replayed.trail, length) }
  }
  const { arn: _arn, machine: _machine, name: _name, input: _input, ...ended } = recorded
  const answered = callsOf(recorded.trail).filter(isAnsweredWithin).length > 0
  const compared = answered ? { ...replayed, trail: withoutLateAnswers(replayed.trail, recorded.trail) } : replayed
  return { recorded: whole(ended), replayed: whole(compared) }
}

/** moto waits for a function whose task is done, and notes what it answered. */
function withoutLateAnswers(trail: readonly Visit[], recorded: readonly Visit[]): Visit[] {
  return trail.map((visit, at) => ({
    ...visit,
    calls: visit.calls.map((call, index) => {
      const other = recorded[at]?.calls[index]
      if (!other || !isAnsweredWithin(other)) return call
      const { submitted: _late, ...rest } = call
      return rest
    }),
  }))
}

/** A trail up to its last state, of which only counts that it was entered, and with what. */
function beginning(trail: readonly Visit[], length: number): Json {
  const last = trail[length - 1]
  return [plain(trail.slice(0, length - 1)), last ? plain([last.state, last.input]) : null]
}

const whole = (ended: ExecutionTrail): Json => plain({ ...ended, trail: withoutStopped(ended.trail) })
const plain = (value: unknown): Json => comparable(JSON.parse(JSON.stringify(value)))
