import { applyPatch } from 'rfc6902'
import { ApiError } from './api-status.ts'

/** A patch of an object as JSON: changes it in place, or throws ApiError. */
export type PatchFunction = (object: object) => void

/** The patch that a body means by its content type. Throws ApiError 415 for one that is not taken, 400 for one that is none. */
export function patchOf(contentType: string, body: unknown): PatchFunction {
  if (contentType === 'application/merge-patch+json') return mergePatch(body)
  if (contentType === 'application/json-patch+json') return jsonPatch(body)
  // The real one takes strategic merge patches for its own kinds; custom resources refuse them, and so does this.
  throw new ApiError(
    415,
    'UnsupportedMediaType',
    'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
  )
}

/** RFC 7396. */
function mergePatch(body: unknown): PatchFunction {
  if (!isMap(body)) throw new ApiError(400, 'BadRequest', 'error decoding patch: a merge patch is a JSON object')
  return (object) => merge(object as Record<string, unknown>, body)
}

function merge(target: Record<string, unknown>, patch: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(patch)) {
    // Not a field but the prototype of every object in this process.
    if (key === '__proto__') continue
    if (value === null) {
      delete target[key]
      continue
    }
    if (!isMap(value)) {
      target[key] = value
      continue
    }
    const inner = target[key]
    const merged = isMap(inner) ? inner : {}
    target[key] = merged
    merge(merged, value)
  }
}

/** RFC 6902. Whatever cannot be applied, a failing `test` included, is 422 and changes nothing. */
function jsonPatch(body: unknown): PatchFunction {
  if (!Array.isArray(body)) throw new ApiError(400, 'BadRequest', 'error decoding patch: a JSON patch is a JSON array')
  return (object) => {
    const failed = applyPatch(object, body).find((result) => result !== null)
    if (failed) {
      throw new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request')
    }
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
