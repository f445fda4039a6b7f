import * as z from 'zod'
import { gitFieldManager, helmFieldManager, ourFieldManager, ownerLabels, releaseLabels } from '../flux/annotations.ts'
import { timeOf } from '../flux/object.ts'
import type { Found } from './finding.ts'
import type { SweptWorkload } from './swept-cluster.ts'

const objectSchema = z.object({
  metadata: z.object({
    labels: z.record(z.string(), z.string()).nullish().catch(undefined),
    managedFields: z
      .array(
        z.object({
          manager: z.string().default(''),
          subresource: z.string().optional(),
          time: z.string().optional(),
          fieldsV1: z.record(z.string(), z.unknown()).optional(),
        }),
      )
      .nullish()
      .catch([]),
  }),
  spec: z.record(z.string(), z.unknown()).nullish().catch(undefined),
})

type Entry = NonNullable<z.infer<typeof objectSchema>['metadata']['managedFields']>[number]

/**
 * Managers whose fields are nobody's by hand. `before-first-apply` stands for whoever wrote an object before it was first
 * applied on the server's side: what of it is Git's is not known.
 */
const expected = new Set([
  ...[gitFieldManager, helmFieldManager, ourFieldManager, 'before-first-apply'],
  ...['tofu-controller', 'tf-controller', 'source-controller', 'flux-operator'],
])

/** So many fields are named. */
const mostNamed = 5

/**
 * Fields of the spec of an object from Git that somebody else has set, as far as `managedFields` tell. What Git sets as
 * well has two owners, and is Git's; what is not there any more was undone; and a status is written by controllers only.
 * Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export function setByHand({ raw, workload: { key } }: SweptWorkload): Found[] {
  const { metadata, spec } = objectSchema.parse(raw)
  const labels = metadata.labels ?? {}
  // What people apply themselves is all by hand.
  if (!labels[ownerLabels.name] && !labels[releaseLabels.name]) return []
  const entries = (metadata.managedFields ?? []).filter(({ subresource }) => subresource === undefined)
  const known = new Set(entries.filter(({ manager }) => expected.has(manager)).flatMap((entry) => pathsOf(entry)))
  const others = entries.filter(({ manager }) => !expected.has(manager))
  return others.flatMap((entry) => {
    const paths = pathsOf(entry).filter((path) => !known.has(path) && isThere(spec, path))
    if (paths.length === 0) return []
    const since = timeOf(entry.time)
    return [
      {
        ...{ kind: 'by-hand', object: key, about: entry.manager, ...(since !== undefined && { since }) },
        text: `${listed(paths)} of ${key} ${paths.length > 1 ? 'were' : 'was'} set by ${entry.manager || 'nobody by name'}, not by Git.`,
        next: 'Put it into Git, or take it back. Flux leaves fields alone that Git does not set.',
      },
    ]
  })
}

const separator = '\n'

/** The fields of the spec that an entry owns, down to where a list begins: `suspend`, `values\nimage\ntag`. */
function pathsOf({ fieldsV1 }: Entry): string[] {
  const paths = new Set<string>()
  const visit = (fields: unknown, path: readonly string[]) => {
    const children = typeof fields === 'object' && fields !== null ? Object.entries(fields) : []
    const named = children.filter(([segment]) => segment.startsWith('f:'))
    const isList = children.some(([segment]) => /^[kvi]:/.test(segment))
    if (path.length > 0 && (isList || named.length === 0)) paths.add(path.join(separator))
    for (const [segment, child] of named) visit(child, [...path, segment.slice(2)])
  }
  visit(fieldsV1?.['f:spec'], [])
  return [...paths].sort()
}

/** Whether the field is there: what is resumed is not suspended any more, whoever owns the field. */
function isThere(spec: unknown, path: string): boolean {
  let value: unknown = spec
  for (const segment of path.split(separator)) {
    if (typeof value !== 'object' || value === null) return false
    value = Object.hasOwn(value, segment) ? (value as Record<string, unknown>)[segment] : undefined
  }
  return path === 'suspend' ? value === true : value !== undefined && value !== null
}

function listed(paths: readonly string[]): string {
  const names = paths.slice(0, mostNamed).map((path) => `spec.${path.replaceAll(separator, '.')}`)
  if (paths.length > mostNamed) names.push(`${paths.length - mostNamed} more`)
  const last = names.pop() ?? ''
  return names.length === 0 ? last : `${names.join(', ')} and ${last}`
}
