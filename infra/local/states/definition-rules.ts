import type { Problem } from './definition-invalid.ts'
import { expressionProblems } from './expression-rules.ts'
import { runsDistributed } from './map-mode.ts'

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** What surrounds a graph of states. */
interface Surrounding {
  /** Names of states so far: they are unique in the whole document. */
  readonly names: Set<string>
  /** Variables that an enclosing graph assigns. */
  readonly outer: ReadonlySet<string>
}

/**
 * The rules between the fields of a definition: targets exist, every state can be reached, each ends or goes on,
 * wildcards stand alone, a wait for a token is bounded, expressions parse and read what is assigned. Takes the
 * document as it was read and passes over what has the wrong shape, which is reported elsewhere.
 */
export function definitionProblems(machine: unknown): Problem[] {
  return graphProblems(fieldsOf(machine), '', { names: new Set(), outer: new Set() })
}

function graphProblems(graph: Fields, path: string, { names, outer }: Surrounding): Problem[] {
  const states = fieldsOf(graph.States)
  const assigned = assignedIn(states)
  const problems: Problem[] = []
  const add = (at: string, message: string) => problems.push({ path: path + at, message })

  if (typeof graph.StartAt === 'string' && !Object.hasOwn(states, graph.StartAt)) {
    add('StartAt', `there is no state "${graph.StartAt}"`)
  }
  for (const name of assigned) {
    if (outer.has(name)) add('States', `assigns $${name}, which belongs to an enclosing state: a Map cannot change it`)
  }
  const reached = reachable(graph, states)
  const visible = new Set([...outer, ...assigned])
  for (const [name, value] of Object.entries(states)) {
    const state = fieldsOf(value)
    const at = `States/${name}`
    if (names.has(name)) add(at, 'another state has the same name')
    names.add(name)
    if (!reached.has(name)) add(at, 'no state leads here')
    for (const [field, target] of targets(state)) {
      if (!Object.hasOwn(states, target)) add(`${at}/${field}`, `there is no state "${target}"`)
    }
    for (const [field, message] of fieldProblems(state)) add(`${at}${field}`, message)
    for (const [field, message] of expressionsIn(state, visible)) add(`${at}${field}`, message)
    if (state.ItemProcessor !== undefined) {
      const inner = fieldsOf(state.ItemProcessor)
      // Executions of their own see no variables of the one that starts them.
      const seen: ReadonlySet<string> = runsDistributed(state) ? new Set() : visible
      problems.push(...graphProblems(inner, `${path}${at}/ItemProcessor/`, { names, outer: seen }))
    }
  }
  return problems
}

function assignedIn(states: Fields): Set<string> {
  const assigning = Object.values(states).flatMap((value) => {
    const state = fieldsOf(value)
    return [state, ...listOf(state.Choices), ...listOf(state.Catch)]
  })
  return new Set(assigning.flatMap((value) => Object.keys(fieldsOf(fieldsOf(value).Assign))))
}

/** Where a state can lead, with the field that says so. */
function targets(state: Fields): [string, string][] {
  const all: [string, unknown][] = [
    ['Next', state.Next],
    ['Default', state.Default],
    ...listOf(state.Choices).map((rule, index): [string, unknown] => [`Choices/${index}/Next`, fieldsOf(rule).Next]),
    ...listOf(state.Catch).map((rule, index): [string, unknown] => [`Catch/${index}/Next`, fieldsOf(rule).Next]),
  ]
  return all.filter((target): target is [string, string] => typeof target[1] === 'string')
}

function reachable(graph: Fields, states: Fields): Set<string> {
  const reached = new Set<string>()
  const open = typeof graph.StartAt === 'string' ? [graph.StartAt] : []
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (reached.has(name)) continue
    reached.add(name)
    open.push(...targets(fieldsOf(states[name])).map(([, target]) => target))
  }
  return reached
}

const goesOn = ['Task', 'Wait', 'Pass', 'Map']

function fieldProblems(state: Fields): [string, string][] {
  const problems: [string, string][] = []
  if (goesOn.includes(String(state.Type)) && (state.Next === undefined) === (state.End === undefined)) {
    problems.push(['', 'needs either Next or End'])
  }
  if (state.Type === 'Wait' && (state.Seconds === undefined) === (state.Timestamp === undefined)) {
    problems.push(['', 'needs either Seconds or Timestamp'])
  }
  const unbounded = state.TimeoutSeconds === undefined && state.HeartbeatSeconds === undefined
  if (String(state.Resource).endsWith('.waitForTaskToken') && unbounded) {
    problems.push(['', 'waits for a token without TimeoutSeconds or HeartbeatSeconds: it could wait for a year'])
  }
  const { TimeoutSeconds: timeout, HeartbeatSeconds: heartbeat } = state
  if (typeof timeout === 'number' && typeof heartbeat === 'number' && heartbeat >= timeout) {
    problems.push(['/HeartbeatSeconds', 'must be less than TimeoutSeconds'])
  }
  return [...problems, ...wildcardProblems(state, 'Retry'), ...wildcardProblems(state, 'Catch')]
}

function wildcardProblems(state: Fields, field: 'Retry' | 'Catch'): [string, string][] {
  const rules = listOf(state[field])
  return rules.flatMap((rule, index): [string, string][] => {
    const errors = listOf(fieldsOf(rule).ErrorEquals)
    const fine = !errors.includes('States.ALL') || (errors.length === 1 && index === rules.length - 1)
    return fine ? [] : [[`/${field}/${index}/ErrorEquals`, 'States.ALL must stand alone, in the last entry']]
  })
}

/** Every string but those that Step Functions takes as they are. */
function expressionsIn(state: Fields, variables: ReadonlySet<string>): [string, string][] {
  const { Comment: _comment, ItemProcessor: _processor, ...rest } = state
  return strings(rest, '').flatMap(([path, text]) =>
    expressionProblems(text, variables).map((message): [string, string] => [path, message]),
  )
}

function strings(value: unknown, path: string): [string, string][] {
  if (typeof value === 'string') return [[path, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, part]) => strings(part, `${path}/${key}`))
}
