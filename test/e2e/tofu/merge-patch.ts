type Json = unknown

/** The JSON merge patch (RFC 7386) that makes `after` of `before`; undefined where they are the same. */
export function mergePatch(before: Json, after: Json): Json {
  if (!isMap(before) || !isMap(after)) return same(before, after) ? undefined : after
  const patch: Record<string, Json> = {}
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const change = after[key] === undefined ? null : mergePatch(before[key], after[key])
    if (change !== undefined && !(change === null && before[key] === undefined)) patch[key] = change
  }
  return Object.keys(patch).length > 0 ? patch : undefined
}

function same(a: Json, b: Json): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function isMap(value: Json): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
