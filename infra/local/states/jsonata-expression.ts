import jsonata from 'jsonata'
import { type Surroundings, stepFunctionsBindings } from './jsonata-functions.ts'
import { StateError } from './state-error.ts'

/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** What an expression sees. */
export interface Scope extends Surroundings {
  /** `$states`: parts that are not there yet are left out. */
  readonly states: {
    readonly input: Json
    readonly result?: Json
    readonly errorOutput?: Json
    readonly context: Json
  }
  /** What Assign has set, by name without `$`. */
  readonly variables: Readonly<Record<string, Json>>
}

const compiled = new Map<string, jsonata.Expression>()

/** Whether a string of a definition is an expression: `{% ... %}` with nothing around it. */
export const isExpression = (text: string): boolean => text.startsWith('{%') && text.endsWith('%}')

/** The JSONata inside `{% ... %}`, compiled once. Throws jsonata's error object when it does not parse. */
export function compile(text: string): jsonata.Expression {
  const known = compiled.get(text)
  if (known) return known
  const expression = jsonata(text.slice(2, -2))
  compiled.set(text, expression)
  return expression
}

/**
 * Evaluates every expression inside a JSON template; all else stays as it is. `field` names the template in errors.
 * Throws StateError States.QueryEvaluationError when an expression fails, or yields nothing or what JSON cannot hold.
 */
export async function evaluate(template: Json, scope: Scope, field: string): Promise<Json> {
  if (typeof template === 'string') return isExpression(template) ? evaluateText(template, scope, field) : template
  if (Array.isArray(template)) {
    const items: Json[] = []
    for (const [index, item] of template.entries()) items.push(await evaluate(item, scope, `${field}[${index}]`))
    return items
  }
  if (template === null || typeof template !== 'object') return template
  const entries: [string, Json][] = []
  for (const [key, value] of Object.entries(template)) {
    entries.push([key, await evaluate(value, scope, `${field}/${key}`)])
  }
  return Object.fromEntries(entries)
}

async function evaluateText(text: string, scope: Scope, field: string): Promise<Json> {
  try {
    const bindings = { ...stepFunctionsBindings(scope), ...scope.variables, states: scope.states }
    return plain(await compile(text).evaluate(undefined, bindings))
  } catch (error) {
    throw new StateError(
      'States.QueryEvaluationError',
      `The JSONata expression '${text.slice(2, -2).trim()}' specified for the field '${field}' ${reasonOf(error)}`,
      field,
    )
  }
}

/** JSONata's arrays carry extra properties, its objects have no prototype, and functions (objects that hold functions) are values. */
function plain(value: unknown): Json {
  if (value === undefined) throw new Error('returned nothing (undefined).')
  return JSON.parse(JSON.stringify(value, (_key, part: unknown) => (holdsInJson(part) ? part : refuse(part))))
}

function holdsInJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value !== 'function'
}

function refuse(value: unknown): never {
  throw new Error(`returned a ${typeof value === 'number' ? 'number that is not finite' : 'function'}.`)
}

/** jsonata throws plain objects with a message; its own bindings and ours throw errors. */
function reasonOf(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message
  if (typeof message !== 'string') return 'failed.'
  return message.startsWith('returned ') ? message : `threw an error: ${message}`
}
