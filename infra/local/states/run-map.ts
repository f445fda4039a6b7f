import { type Beginning, type Branch, taskKey } from './branch.ts'
import type { MapState } from './definition.ts'
import type { Execution } from './execution.ts'
import type { Position } from './execution-store.ts'
import { inTurns } from './in-turns.ts'
import type { Json } from './jsonata-expression.ts'
import { wholeNumber } from './state-data.ts'
import { StateError } from './state-error.ts'
import { Stopped } from './stopped.ts'

/** Iterations of an inline Map at once, as of Step Functions. */
const mostAtOnce = 40

type Iterate = (iteration: Branch, beginning: Beginning) => Promise<Json>

/**
 * Runs the item processor for every item; answers the outputs in the order of the items. The first iteration that
 * fails stops the others, and its error becomes the Map's.
 */
export async function runMap(
  execution: Execution,
  branch: Branch,
  state: MapState,
  position: Position,
  iterate: Iterate,
): Promise<Json> {
  const scope = execution.scope(branch, position)
  const items = await execution.evaluate(branch, state.Items ?? position.input, scope, 'Items')
  if (!Array.isArray(items)) {
    throw new StateError('States.QueryEvaluationError', `The field 'Items' did not yield an array.`, 'Items')
  }
  const most = await execution.evaluate(branch, state.MaxConcurrency ?? 0, scope, 'MaxConcurrency')
  const atOnce = Math.min(wholeNumber(most, 'MaxConcurrency', 0) || mostAtOnce, mostAtOnce)
  execution.emit(branch, [{ type: 'MapStateStarted', mapStateStartedEventDetails: { length: items.length } }])

  const group = new AbortController()
  const signal = AbortSignal.any([branch.signal, group.signal])
  const { lastEventId } = branch
  const iterations: Branch[] = []
  const run = async (item: Json, index: number): Promise<Json> => {
    const iteration: Branch = {
      graph: state.ItemProcessor,
      key: `${taskKey(branch, position)}[${index}]/`,
      signal,
      item: { Index: index, Value: item },
      lastEventId,
      pending: [],
    }
    iterations.push(iteration)
    const input = await selectItem(execution, iteration, state, position, item)
    return runIteration(execution, iteration, position, input, iterate)
  }
  try {
    const outputs = await inTurns(items, atOnce, signal, run, () => group.abort())
    branch.lastEventId = newestEvent(branch, iterations)
    execution.emit(branch, [{ type: 'MapStateSucceeded' }])
    return outputs
  } catch (error) {
    if (error instanceof StateError) {
      branch.lastEventId = newestEvent(branch, iterations)
      execution.emit(branch, [{ type: 'MapStateFailed' }])
    }
    throw error
  }
}

/** What a Map as a whole leads to follows its own iterations, not what happens beside it in an enclosing Map. */
const newestEvent = (branch: Branch, iterations: readonly Branch[]): number =>
  Math.max(branch.lastEventId, ...iterations.map(({ lastEventId }) => lastEventId))

async function selectItem(
  execution: Execution,
  iteration: Branch,
  state: MapState,
  position: Position,
  item: Json,
): Promise<Json> {
  if (state.ItemSelector === undefined) return item
  return execution.evaluate(iteration, state.ItemSelector, execution.scope(iteration, position), 'ItemSelector')
}

async function runIteration(
  execution: Execution,
  iteration: Branch,
  { state: name, variables }: Position,
  input: Json,
  iterate: Iterate,
): Promise<Json> {
  const details = { name, index: iteration.item?.Index ?? 0 }
  execution.emit(iteration, [{ type: 'MapIterationStarted', mapIterationStartedEventDetails: details }])
  try {
    const output = await iterate(iteration, { input, variables })
    execution.emit(iteration, [{ type: 'MapIterationSucceeded', mapIterationSucceededEventDetails: details }])
    return output
  } catch (error) {
    if (error instanceof StateError) {
      execution.emit(iteration, [{ type: 'MapIterationFailed', mapIterationFailedEventDetails: details }])
      // Without the place in the iteration: for the Map it is an error of a state, not of an expression of its own.
      throw new StateError(error.error, error.failure)
    }
    // Throws Stopped itself when it is the whole execution that has ended.
    if (error instanceof Stopped) {
      execution.emit(iteration, [{ type: 'MapIterationAborted', mapIterationAbortedEventDetails: details }])
    }
    throw error
  }
}
