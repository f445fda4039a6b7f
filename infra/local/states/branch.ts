import type { Graph } from './definition.ts'
import type { Position } from './execution-store.ts'
import type { EventBody } from './history.ts'
import type { Json } from './jsonata-expression.ts'

/** A run through a graph of states: the machine's own, or one iteration of a Map. */
export interface Branch {
  readonly graph: Graph
  /** Empty for the machine's own; tells iterations apart. */
  readonly key: string
  readonly signal: AbortSignal
  readonly item: { readonly Index: number; readonly Value: Json } | undefined
  lastEventId: number
  /** Events that are written together with the next one. */
  pending: EventBody[]
}

/** What a graph starts with. */
export interface Beginning {
  readonly input: Json
  readonly variables: Readonly<Record<string, Json>>
}

/** Retries so far. */
export const retryCount = ({ retries }: Position): number => retries.reduce((sum, count) => sum + count, 0)

/** Names one attempt of one visit of a state, the same again after a restart. */
export const taskKey = (branch: Branch, position: Position): string =>
  `${branch.key}${position.visit}.${retryCount(position)}`
