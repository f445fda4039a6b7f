import * as z from 'zod'
import { type ExecutionStatus, historyEvent, statusAfter } from '../../infra/local/states/history.ts'
import type { Json } from '../../infra/local/states/jsonata-expression.ts'

const failure = z.object({ error: z.string().optional(), cause: z.string().optional() }).optional()

/** What a trail is read from: an event of GetExecutionHistory, as any engine gives it. */
export const trailEvent = historyEvent
  .pick({
    ...{ id: true, previousEventId: true, type: true, stateEnteredEventDetails: true, stateExitedEventDetails: true },
    ...{ taskScheduledEventDetails: true, taskSubmittedEventDetails: true, taskSucceededEventDetails: true },
    ...{ mapIterationStartedEventDetails: true, mapIterationSucceededEventDetails: true },
    ...{ mapIterationFailedEventDetails: true, executionSucceededEventDetails: true },
    ...{ executionFailedEventDetails: true, executionAbortedEventDetails: true, executionTimedOutEventDetails: true },
  })
  .extend({ taskFailedEventDetails: failure, taskTimedOutEventDetails: failure })
export type TrailEvent = z.infer<typeof trailEvent>

/** How an execution ended, and what it did on the way. */
export interface ExecutionTrail {
  readonly status: ExecutionStatus
  readonly output?: Json
  readonly error?: string
  readonly cause?: string
  readonly trail: Visit[]
}

/** One attempt of a task. Neither result nor error: it was cut off. */
export interface Call {
  /** Such as `lambda:invoke`. */
  readonly resource: string
  readonly parameters: Json
  /** What the function or the integration answered first, where a task then waits for something else. */
  submitted?: Json
  result?: Json
  error?: string
  cause?: string
}

/** One iteration of a Map. */
export interface Iteration {
  /** Which attempt of the Map, from 1. */
  readonly attempt: number
  readonly index: number
  readonly visits: Visit[]
  /** False: it still runs, or it was stopped since another one failed or the execution was stopped. */
  ended: boolean
}

/** One state that was entered. */
export interface Visit {
  readonly state: string
  readonly input: Json
  /** Undefined where the execution ended in it, or still is there. */
  output?: Json
  readonly calls: Call[]
  readonly iterations: Iteration[]
}

/** The states of a machine, or of one iteration, while the history is read. */
interface Branch {
  readonly visits: Visit[]
  readonly parent: Branch | undefined
}

/** What is known of a Map while the history is read. */
interface OpenMap {
  attempt: number
  iterations: Iteration[]
}

/** Status, output and trail of an execution, from its history. */
export function executionTrail(history: readonly TrailEvent[]): ExecutionTrail {
  const last = history.at(-1)
  const output = last?.executionSucceededEventDetails?.output
  const { error, cause }: { error?: string | undefined; cause?: string | undefined } =
    last?.executionFailedEventDetails ?? last?.executionAbortedEventDetails ?? last?.executionTimedOutEventDetails ?? {}
  return {
    status: statusAfter(last),
    ...(output !== undefined && { output: JSON.parse(output) }),
    ...(error && { error }),
    ...(cause && { cause }),
    trail: trailOf(history),
  }
}

/**
 * What an execution did, in order, from its history: the states that it entered, what they were given and gave, and
 * the attempts of their tasks. It tells nothing of time, and nothing of the order between iterations of a Map, which
 * is chance. An attempt that the host's end cut off is one with the attempt that follows.
 */
export function trailOf(history: readonly TrailEvent[]): Visit[] {
  const reader = new HistoryReader()
  for (const event of history) reader.read(event)
  return reader.trail()
}

/**
 * The names of the states in order; those of a Map's iterations follow it, iteration after iteration. How far the others
 * came when one of them failed is chance, and left out.
 */
export function statesOf(trail: readonly Visit[]): string[] {
  return withoutStopped(trail).flatMap(({ state, iterations }) => [
    state,
    ...iterations.flatMap(({ visits }) => statesOf(visits)),
  ])
}

/** A trail without the iterations of a Map that were stopped since another one failed. */
export function withoutStopped(trail: readonly Visit[]): Visit[] {
  return trail.map((visit) => {
    const iterations = visit.iterations.filter(({ ended }) => ended)
    return { ...visit, iterations: iterations.map((one) => ({ ...one, visits: withoutStopped(one.visits) })) }
  })
}

class HistoryReader {
  private readonly top: Branch = { visits: [], parent: undefined }
  /** By the id of an event. */
  private readonly branches = new Map<number, Branch>()
  private readonly maps = new Map<Visit, OpenMap>()
  private readonly iterations = new Map<Branch, Iteration>()

  read(event: TrailEvent): void {
    const branch = this.branchOf(event)
    this.branches.set(event.id, branch)
    this.record(branch, event)
  }

  trail(): Visit[] {
    for (const [visit, { iterations }] of this.maps) {
      visit.iterations.push(
        ...iterations.toSorted((one, other) => one.attempt - other.attempt || one.index - other.index),
      )
    }
    return this.top.visits
  }

  /** Events are chained. What concerns a Map as a whole may be chained to the last event of one of its iterations. */
  private branchOf({ type, previousEventId, mapIterationStartedEventDetails }: TrailEvent): Branch {
    const previous = this.branches.get(previousEventId) ?? this.top
    if (mapIterationStartedEventDetails) {
      return this.iterate(this.withOpenMap(previous), mapIterationStartedEventDetails.index)
    }
    const concernsMap = /^MapState(Started|Succeeded|Failed|Aborted|Exited)$/.test(type)
    return concernsMap ? this.withOpenMap(previous) : previous
  }

  private withOpenMap(from: Branch): Branch {
    let branch = from
    for (;;) {
      const visit = branch.visits.at(-1)
      if (visit && visit.output === undefined && this.maps.has(visit)) return branch
      if (!branch.parent) return from
      branch = branch.parent
    }
  }

  private iterate(parent: Branch, index: number): Branch {
    const branch: Branch = { visits: [], parent }
    const map = this.maps.get(parent.visits.at(-1) as Visit)
    const iteration = { attempt: map?.attempt ?? 0, index, visits: branch.visits, ended: false }
    map?.iterations.push(iteration)
    this.iterations.set(branch, iteration)
    return branch
  }

  private record(branch: Branch, event: TrailEvent): void {
    const { stateEnteredEventDetails: entered, stateExitedEventDetails: exited, type } = event
    if (entered) {
      const visit: Visit = { state: entered.name, input: JSON.parse(entered.input), calls: [], iterations: [] }
      branch.visits.push(visit)
      if (type === 'MapStateEntered') this.maps.set(visit, { attempt: 0, iterations: [] })
    }
    const visit = branch.visits.at(-1)
    if (visit && exited) visit.output = JSON.parse(exited.output)
    if (visit && type === 'MapStateStarted') this.startMap(visit)
    const iteration = this.iterations.get(branch)
    if (iteration && (event.mapIterationSucceededEventDetails || event.mapIterationFailedEventDetails)) {
      iteration.ended = true
    }
    if (visit) recordCall(visit.calls, event)
  }

  private startMap(visit: Visit): void {
    const map = this.maps.get(visit)
    if (!map) return
    map.iterations = map.iterations.filter(({ ended }) => ended)
    map.attempt++
  }
}

function recordCall(calls: Call[], event: TrailEvent): void {
  const { taskScheduledEventDetails: scheduled, taskSubmittedEventDetails: submitted } = event
  if (scheduled) {
    if (isCutOff(calls.at(-1))) calls.pop()
    const resource = `${scheduled.resourceType}:${scheduled.resource}`
    calls.push({ resource, parameters: JSON.parse(scheduled.parameters) })
  }
  const call = calls.at(-1)
  if (!call) return
  if (submitted) call.submitted = JSON.parse(submitted.output)
  const { taskSucceededEventDetails: succeeded } = event
  if (succeeded) call.result = JSON.parse(succeeded.output)
  const failed = event.taskFailedEventDetails ?? event.taskTimedOutEventDetails
  if (failed) Object.assign(call, { error: failed.error ?? '', cause: failed.cause ?? '' })
}

export const isCutOff = (call: Call | undefined): boolean =>
  call !== undefined && call.result === undefined && call.error === undefined

/**
 * A value without what differs between runs and engines: times of nested executions, and the words in which an engine
 * explains an error of its own. JSON inside of text is read, since its white space is not laid down.
 */
export function comparable(value: Json): Json {
  if (typeof value === 'string') return comparableText(value)
  if (Array.isArray(value)) return value.map(comparable)
  if (value === null || typeof value !== 'object') return value
  const isEngines = /^(States|Lambda|StepFunctions)\./.test(String(value.Error ?? value.error ?? ''))
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]): [string, Json][] => {
      if (passedOver.has(name)) return []
      const plain = comparable(part)
      const isWords = name.toLowerCase() === 'cause' && isEngines && typeof plain === 'string'
      return isWords ? [] : [[name, plain]]
    }),
  )
}

const passedOver = new Set(['StartDate', 'StopDate', 'InputDetails', 'OutputDetails'])

function comparableText(text: string): Json {
  if (!/^[[{]/.test(text)) return text
  try {
    return comparable(JSON.parse(text))
  } catch {
    return text
  }
}
