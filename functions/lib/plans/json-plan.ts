import * as z from 'zod'
import { blotted, secretName } from '../blotted.ts'
import { bounded, inOrder, mostLines, type PlannedAction, type PlannedChange, type ShownPlan } from './shown-plan.ts'

/** Each may be left out: tofu-controller writes the plan with Go's `omitempty` (hashicorp/terraform-json, plan.go). */
const anything = z.unknown().optional()

const changeSchema = z.looseObject({
  actions: z.array(z.string()),
  before: anything,
  after: anything,
  after_unknown: anything,
  before_sensitive: anything,
  after_sensitive: anything,
  /** Of what is there already, and comes into the state: what it is known by. */
  importing: anything,
})
type Change = z.infer<typeof changeSchema>

const resourceSchema = z.looseObject({
  address: z.string(),
  /** Of what is left over from a replacement that failed half way: it has the address of what is in its place. */
  deposed: z.string().optional(),
  /** The address that it has in the state. */
  previous_address: z.string().optional(),
  change: changeSchema,
})
type Resource = z.infer<typeof resourceSchema>

const valuesSchema = z.record(z.string(), z.looseObject({ value: anything })).nullish()

/** https://opentofu.org/docs/internals/json-format/#plan-representation, as far as it is shown. */
const planSchema = z.looseObject({
  resource_changes: z.array(resourceSchema).nullish(),
  output_changes: z.record(z.string(), changeSchema).nullish(),
  variables: valuesSchema,
  configuration: z
    .looseObject({
      root_module: z
        .looseObject({
          variables: z.record(z.string(), z.looseObject({ sensitive: z.boolean().optional() })).nullish(),
        })
        .nullish(),
    })
    .nullish(),
  prior_state: z
    .looseObject({
      values: z
        .looseObject({
          outputs: z
            .record(z.string(), z.looseObject({ sensitive: z.boolean().optional(), value: anything }))
            .nullish(),
        })
        .nullish(),
    })
    .nullish(),
})
type Plan = z.infer<typeof planSchema>

/**
 * Shows a plan in OpenTofu's JSON. What OpenTofu calls sensitive is masked, wherever else in the plan the same text is; and
 * so is what is named like a secret, although nobody has called it one. Throws ZodError and SyntaxError for what is no plan.
 */
export function showJsonPlan(text: string, destroysAll: boolean): ShownPlan {
  const plan = planSchema.parse(JSON.parse(text))
  const secrets = secretsOf(plan)
  const all = inOrder([
    ...(plan.resource_changes ?? []).flatMap((each) =>
      shownChange(nameOf(each), each.change, secrets, each.previous_address),
    ),
    ...Object.entries(plan.output_changes ?? {}).flatMap(([name, change]) =>
      shownChange(`output.${name}`, change, secrets),
    ),
  ])
  return { counts: countsOf(plan), destroysAll, ...bounded(all) }
}

/** As OpenTofu names it for people. */
function nameOf({ address, deposed }: Resource): string {
  return deposed ? `${address} (deposed object ${deposed})` : address
}

/**
 * `create`, `update`, …; replacing is `["delete", "create"]` or the other way round, and `["forget", "create"]` where the older
 * one is kept. What stays as it is may still come into the state, or move in it. Undefined: nothing changes.
 */
function actionOf({ actions, importing }: Change, movedFrom: string | undefined): PlannedAction | undefined {
  if (actions.includes('delete')) return actions.includes('create') ? 'replace' : 'delete'
  const [action] = actions
  if (action === 'create' || action === 'update' || action === 'forget' || action === 'read') return action
  if (isNested(importing)) return 'import'
  return movedFrom ? 'move' : undefined
}

/** As OpenTofu counts them, without outputs: what is replaced is added, and destroyed unless it is kept. */
function countsOf({ resource_changes }: Plan): NonNullable<ShownPlan['counts']> {
  const count = (action: string) =>
    (resource_changes ?? []).filter(({ change }) => change.actions.includes(action)).length
  return { add: count('create'), change: count('update'), destroy: count('delete') }
}

function shownChange(address: string, change: Change, secrets: readonly string[], movedFrom?: string): PlannedChange[] {
  const action = actionOf(change, movedFrom)
  if (!action) return []
  const lines: Line[] = movedFrom ? [{ name: 'moved from', change: redact(movedFrom, secrets) }] : []
  // What goes is named; what it was is in the state.
  if (action !== 'delete' && action !== 'forget') describe('', change, lines, 0)
  const texts = lines.map(({ name, change }) => `${redact(name, secrets)}: ${changeText(change, secrets)}`)
  return [{ address: redact(address, secrets), action, lines: texts }]
}

/** What is said of a value, or the value before and after. */
interface Line {
  readonly name: string
  readonly change: string | { readonly before: unknown; readonly after: unknown }
}

/** One value before and after, with what OpenTofu says of both. Each of these has the shape of the value, or is a boolean. */
interface Sides extends Omit<Change, 'actions' | 'importing'> {}

const deepest = 12
const longestValue = 120

function describe(path: string, sides: Sides, lines: Line[], depth: number): void {
  if (lines.length > mostLines) return
  const { before, after, after_unknown: unknown, before_sensitive, after_sensitive } = sides
  const name = path || 'value'
  if (before_sensitive === true || after_sensitive === true) {
    if (unknown === true || !isSame(before, after)) lines.push({ name, change: '(sensitive)' })
    return
  }
  if (unknown === true) {
    lines.push({ name, change: '(known after apply)' })
    return
  }
  if (isNested(before) || isNested(after) || isNested(unknown)) {
    if (depth >= deepest) {
      if (!isSame(before, after)) lines.push({ name, change: '(changes deep inside)' })
      return
    }
    for (const key of keysOf(before, after, unknown)) {
      const inside = path === '' ? key : `${path}.${key}`
      const next = {
        ...{ before: at(before, key), after: at(after, key), after_unknown: at(unknown, key) },
        ...{ before_sensitive: at(before_sensitive, key), after_sensitive: at(after_sensitive, key) },
      }
      describe(inside, next, lines, depth + 1)
    }
    return
  }
  if (isSame(before, after)) return
  // Marks that do not have the value's shape: nobody can tell which part of it they mean.
  const isSecret = secretName.test(path) || marks(before_sensitive) || marks(after_sensitive)
  lines.push({ name, change: isSecret ? '(sensitive)' : { before, after } })
}

/** `1 → 2`, `2` for what is new, `1 → nothing` for what goes. */
function changeText(change: Line['change'], secrets: readonly string[]): string {
  if (typeof change === 'string') return change
  const { before, after } = change
  const isThere = (value: unknown) => value !== undefined && value !== null
  const now = isThere(after) ? valueText(after, secrets) : 'nothing'
  return isThere(before) ? `${valueText(before, secrets)} → ${now}` : now
}

/** Cut after the masking: half of a secret would not be found. */
function valueText(value: unknown, secrets: readonly string[]): string {
  const text = blotted(redact(JSON.stringify(value), secrets))
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text
}

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null

function keysOf(...values: readonly unknown[]): string[] {
  return [...new Set(values.flatMap((value) => (isNested(value) ? Object.keys(value) : [])))]
}

function at(value: unknown, key: string): unknown {
  return isNested(value) && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined
}

function isSame(before: unknown, after: unknown): boolean {
  return JSON.stringify(before ?? null) === JSON.stringify(after ?? null)
}

/** Whether anything in it is marked. */
function marks(sensitive: unknown): boolean {
  return sensitive === true || (isNested(sensitive) && Object.values(sensitive).some(marks))
}

/** Shorter texts are found in everything, and say nothing. */
const shortestSecret = 4

/** The values that OpenTofu calls sensitive, longest first: one may be a part of another. */
function secretsOf({ resource_changes, output_changes, variables, configuration, prior_state }: Plan): string[] {
  const found = new Set<string>()
  const changes = [...(resource_changes ?? []).map(({ change }) => change), ...Object.values(output_changes ?? {})]
  for (const { before, after, before_sensitive, after_sensitive } of changes) {
    collect(before, before_sensitive, found)
    collect(after, after_sensitive, found)
  }
  for (const [name, { sensitive }] of Object.entries(configuration?.root_module?.variables ?? {}))
    if (sensitive) collect(at(variables, name), { value: true }, found)
  for (const output of Object.values(prior_state?.values?.outputs ?? {})) collect(output.value, output.sensitive, found)
  return [...found].sort((a, b) => b.length - a.length)
}

function collect(value: unknown, sensitive: unknown, found: Set<string>): void {
  if (isNested(value)) {
    for (const key of Object.keys(value)) collect(at(value, key), sensitive === true || at(sensitive, key), found)
    return
  }
  if (!marks(sensitive) || (typeof value !== 'string' && typeof value !== 'number')) return
  const text = String(value)
  if (text.length < shortestSecret) return
  found.add(text)
  // As it stands in a line, if it has quotes or line breaks.
  found.add(JSON.stringify(text).slice(1, -1))
}

function redact(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '(sensitive)'), text)
}
