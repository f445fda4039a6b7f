import { ApiError } from './api-status.ts'
import type { KubernetesObject } from './object-store.ts'

export type ObjectSelector = (object: KubernetesObject) => boolean

const fields: Record<string, (object: KubernetesObject) => string> = {
  'metadata.name': (object) => object.metadata.name,
  'metadata.namespace': (object) => object.metadata.namespace ?? '',
}

/**
 * The objects that a list or watch is about: `labelSelector` and `fieldSelector` by equality (`a=b`, `a==b`,
 * `a!=b`), labels by presence too (`a`, `!a`). Set-based selectors are refused, never guessed.
 */
export function objectSelector(query: URLSearchParams, namespace: string | undefined): ObjectSelector {
  const tests = [
    ...terms(query.get('labelSelector')).map(labelTest),
    ...terms(query.get('fieldSelector')).map(fieldTest),
  ]
  if (namespace !== undefined) tests.push((object) => object.metadata.namespace === namespace)
  return (object) => tests.every((test) => test(object))
}

function terms(selector: string | null): string[] {
  return (selector ?? '')
    .split(',')
    .map((term) => term.trim())
    .filter((term) => term !== '')
}

function labelTest(term: string): ObjectSelector {
  const parts = /^(!?)([\w./-]+)\s*(?:(==|=|!=)\s*([\w.-]*))?$/.exec(term)
  if (!parts) throw unable('label', term)
  const [, not, label = '', operator, value] = parts
  const read = (object: KubernetesObject) => object.metadata.labels?.[label]
  if (operator === undefined) return (object) => (read(object) !== undefined) === (not === '')
  return (object) => (read(object) === value) === (operator !== '!=')
}

function fieldTest(term: string): ObjectSelector {
  const parts = /^([\w.]+)(==|=|!=)(.*)$/.exec(term)
  const read = fields[parts?.[1] ?? '']
  if (!parts || !read) throw unable('field', term)
  return (object) => (read(object) === parts[3]) === (parts[2] !== '!=')
}

function unable(kind: string, term: string): ApiError {
  return new ApiError(400, 'BadRequest', `unable to parse requirement: ${kind} selector "${term}" is not supported`)
}
