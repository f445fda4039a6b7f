/**
 * Who owns which field: the API server's `metadata.managedFields`, for objects without a schema. Maps are owned key
 * by key, lists as one value, as the API server does for custom resources whose lists carry no list type.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export interface ManagedFieldsEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly time: string
  readonly fieldsType: 'FieldsV1'
  readonly fieldsV1: FieldsV1
  readonly subresource?: string
}

/** Nested as the API server writes it: `{"f:spec": {".": {}, "f:suspend": {}}}`; "." says that the map itself is owned. */
export interface FieldsV1 {
  [segment: string]: FieldsV1
}

/** A path of keys, as a JSON array: `["spec","suspend"]`. */
export type FieldPath = string
export type FieldPaths = ReadonlySet<FieldPath>

export interface FieldChanges {
  /** Added or modified. */
  readonly written: FieldPaths
  readonly removed: FieldPaths
}

type Json = unknown

/** Fields that belong to the API server: nobody owns them. */
const unowned = new Set(
  [
    ['apiVersion'],
    ['kind'],
    ['metadata'],
    ...[
      'name',
      'namespace',
      'uid',
      'resourceVersion',
      'generation',
      'creationTimestamp',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
      'managedFields',
    ].map((field) => ['metadata', field]),
  ].map((path) => JSON.stringify(path)),
)

/** What a manifest sets: its leaves (scalars, lists, empty maps). This is what an apply owns. */
export function leaves(object: object): FieldPaths {
  const found = new Set<FieldPath>()
  const visit = (value: Json, path: readonly string[]) => {
    if (isMap(value) && Object.keys(value).length > 0) {
      for (const [key, child] of Object.entries(value)) visit(child, [...path, key])
      return
    }
    add(found, path)
  }
  visit(object, [])
  return found
}

/** What differs from `before` to `after`; a map that appears or goes counts itself and all below it. */
export function changes(before: object, after: object): FieldChanges {
  const written = new Set<FieldPath>()
  const removed = new Set<FieldPath>()
  const visit = (old: Json, now: Json, path: readonly string[]) => {
    if (isMap(old) && isMap(now)) {
      for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
        visit(old[key], now[key], [...path, key])
      }
      return
    }
    if (sameJson(old, now)) return
    if (now === undefined) add(removed, path)
    else add(written, path)
    if (isMap(old)) for (const key of Object.keys(old)) visit(old[key], undefined, [...path, key])
    if (isMap(now)) for (const key of Object.keys(now)) visit(undefined, now[key], [...path, key])
  }
  visit(before, after, [])
  return { written, removed }
}

/** The value merged the way an apply merges: maps key by key, all else replaced. Does not copy. */
export function mergeApplied(live: Json, applied: Json): Json {
  if (!isMap(live) || !isMap(applied)) return applied
  const merged = { ...live }
  for (const [key, value] of Object.entries(applied)) merged[key] = mergeApplied(live[key], value)
  return merged
}

/** Removes one field, and the maps that this leaves empty. */
export function removeField(object: object, path: FieldPath): void {
  const keys: string[] = JSON.parse(path)
  const trail: Record<string, Json>[] = []
  let at: Json = object
  for (const key of keys) {
    if (!isMap(at)) return
    trail.push(at)
    at = at[key]
  }
  for (const [depth, map] of [...trail.entries()].reverse()) {
    delete map[keys[depth] as string]
    if (Object.keys(map).length > 0) return
  }
}

/**
 * The entries after `manager` wrote. An update owns what it changed, on top of what it owned before; an apply owns
 * exactly what its manifest sets. Others lose the fields that were changed or removed, and keep those that were not.
 */
export function recordWrite(
  entries: readonly ManagedFieldsEntry[],
  write: Pick<ManagedFieldsEntry, 'manager' | 'operation' | 'apiVersion' | 'time' | 'subresource'>,
  changed: FieldChanges,
  applied?: FieldPaths,
): ManagedFieldsEntry[] {
  const lost = new Set([...changed.written, ...changed.removed])
  const mine = entries.find((entry) => sameWriter(entry, write))
  const before = mine ? parseFields(mine.fieldsV1) : new Set<FieldPath>()
  const owned = applied ?? without(new Set([...before, ...changed.written]), changed.removed)
  // An update that changes a value gets a new time, be it that of a field which it owned already (client-go's
  // managedfields/internal/managedfieldsupdater.go: "If the current operation took any fields").
  const takes = applied === undefined && changed.written.size > 0
  const own =
    mine && !takes && sameJson(mine.fieldsV1, renderFields(owned))
      ? mine
      : withPaths({ ...write, fieldsType: 'FieldsV1', fieldsV1: {} }, owned)
  const others = entries
    .filter((entry) => entry !== mine)
    .map((entry) => withPaths(entry, without(parseFields(entry.fieldsV1), lost)))
  return [...others, own].filter((entry) => Object.keys(entry.fieldsV1).length > 0)
}

/**
 * The entries with those of managers whose names begin with one of `prefixes` merged into the writer's own; undefined
 * when there are none. What they wrote to a subresource stays theirs.
 */
export function takeOver(
  entries: readonly ManagedFieldsEntry[],
  writer: Pick<ManagedFieldsEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>,
  prefixes: readonly string[],
): ManagedFieldsEntry[] | undefined {
  const taken = entries.filter(
    ({ manager, subresource }) => !subresource && prefixes.some((prefix) => manager.startsWith(prefix)),
  )
  const [first] = taken
  if (!first) return undefined
  const mine = entries.find((entry) => sameWriter(entry, writer))
  const paths = [...taken, ...(mine ? [mine] : [])].flatMap((entry) => [...parseFields(entry.fieldsV1)])
  const others = entries.filter((entry) => entry !== mine && !taken.includes(entry))
  return [...others, withPaths({ ...(mine ?? first), ...writer }, new Set(paths))]
}

export function without(paths: FieldPaths, gone: FieldPaths): FieldPaths {
  return new Set([...paths].filter((path) => !gone.has(path)))
}

export function sameWriter(
  a: Pick<ManagedFieldsEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>,
  b: Pick<ManagedFieldsEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>,
): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    a.apiVersion === b.apiVersion &&
    a.subresource === b.subresource
  )
}

export function parseFields(fields: FieldsV1): FieldPaths {
  const found = new Set<FieldPath>()
  const visit = (node: FieldsV1, path: readonly string[]) => {
    const children = Object.entries(node)
    if (children.length === 0) add(found, path)
    for (const [segment, child] of children) {
      if (segment === '.') add(found, path)
      else visit(child, [...path, segment.slice('f:'.length)])
    }
  }
  visit(fields, [])
  return found
}

export function renderFields(paths: FieldPaths): FieldsV1 {
  const root: FieldsV1 = {}
  for (const path of paths) {
    let node = root
    for (const key of JSON.parse(path) as string[]) {
      node[`f:${key}`] ??= {}
      node = node[`f:${key}`] as FieldsV1
    }
    node['.'] = {}
  }
  return withoutLoneDots(root)
}

function withPaths(entry: ManagedFieldsEntry, paths: FieldPaths): ManagedFieldsEntry {
  return { ...entry, fieldsV1: renderFields(paths) }
}

function withoutLoneDots(node: FieldsV1): FieldsV1 {
  const keys = Object.keys(node).sort()
  if (keys.length === 1 && keys[0] === '.') return {}
  return Object.fromEntries(keys.map((key) => [key, withoutLoneDots(node[key] as FieldsV1)]))
}

function add(paths: Set<FieldPath>, path: readonly string[]): void {
  const field = JSON.stringify(path)
  if (path.length > 0 && !unowned.has(field)) paths.add(field)
}

function isMap(value: Json): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Equality of JSON values; the order of keys does not matter. */
export function sameJson(a: Json, b: Json): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => sameJson(item, b[index]))
  }
  if (!isMap(a) || !isMap(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && sameJson(a[key], b[key]))
}
