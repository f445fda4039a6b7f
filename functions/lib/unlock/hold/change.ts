import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { gateAnnotation, ourFieldManager as us } from '../../flux/annotations.ts'
import { gateOf } from '../../flux/object.ts'
import type { Cluster } from '../../kubernetes/cluster.ts'
import { getIfThere } from '../../kubernetes/get-if-there.ts'
import { type Decision, patchAsRead } from '../../kubernetes/patch-as-read.ts'
import { oneLine } from '../../locks/evidence/one-line.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import { type Change, type ForceUnlockValue, refOfKey } from './intent.ts'

/**
 * How a field that an unlock changes stands:
 * - `before`: as it was before the unlock, whoever saw to that.
 * - `ours`: as the unlock left it, and nobody has set it since.
 * - `theirs`: somebody else has decided, be it for the very value that the unlock had set. `gated`: a rollout did, which holds
 *   it as well, and opens nothing before the unlock is over.
 * - `gone`: the object does not exist any more, or is another one of that name.
 */
export type Standing =
  | { readonly is: 'before' | 'ours' }
  | { readonly is: 'theirs'; readonly why: string; readonly gated?: true }
  | { readonly is: 'gone'; readonly why: string }

/** Whether nobody works on what the change keeps them from. */
export function isHeld(standing: Standing): boolean {
  return standing.is === 'ours' || (standing.is === 'theirs' && standing.gated === true)
}

/** How a field stands now. Throws ClusterError, UnexpectedShape. */
export async function standingOf(cluster: Cluster, change: Change): Promise<Standing> {
  return look(change, await getIfThere(cluster, refOfKey(change.object))).standing
}

/**
 * Makes one change of an intent, if the field is as the intent says that it was. Answers how it stood: `before` where it
 * was changed, `ours` where that had been done already; else nothing was changed. `beforehand` is called before each try, with
 * nothing changed yet: an unlock that has lost its turn must not try again. Throws ClusterError, UnexpectedShape.
 */
export function makeChange(cluster: Cluster, change: Change, beforehand: () => Promise<void>): Promise<Standing> {
  return patchAsRead(cluster, refOfKey(change.object), async (raw) => {
    const { standing, seen } = look(change, raw)
    if (standing.is !== 'before' || !seen) return { answer: standing }
    await beforehand()
    const { body, ...patch } = patchTo(change.to, change, seen)
    return { answer: standing, patch: { ...patch, body: { ...body, ...withoutOpenGate(change, raw) } } }
  })
}

/**
 * Puts back one field, if it is as the unlock left it. Answers how it stood: `ours` where it was put back; else nothing was
 * changed. `beforehand` is called before each try, with nothing changed yet. Throws ClusterError, UnexpectedShape.
 */
export function undoChange(cluster: Cluster, change: Change, beforehand: () => Promise<void>): Promise<Standing> {
  return patchAsRead(cluster, refOfKey(change.object), async (raw) => {
    const { standing, seen } = look(change, raw)
    if (standing.is !== 'ours' || !seen) return { answer: standing }
    await beforehand()
    return { answer: standing, patch: patchTo(change.from, change, seen) }
  })
}

const seenSchema = z.looseObject({
  metadata: z.looseObject({
    uid: z.string(),
    resourceVersion: z.string(),
    managedFields: z
      .array(z.looseObject({ manager: z.string().default(''), fieldsV1: z.record(z.string(), z.unknown()).optional() }))
      .default([]),
  }),
  spec: z.looseObject({
    replicas: z.number().optional(),
    suspend: z.boolean().optional(),
    tfstate: z.looseObject({ forceUnlock: z.string().optional(), lockIdentifier: z.string().optional() }).optional(),
  }),
})
type Seen = z.infer<typeof seenSchema>

function look(change: Change, raw: unknown): { standing: Standing; seen?: Seen } {
  if (raw === undefined) return { standing: { is: 'gone', why: 'it does not exist any more' } }
  const seen = shaped(change.object, seenSchema, raw)
  if (seen.metadata.uid !== change.uid) {
    return { standing: { is: 'gone', why: 'it was deleted, and made again by somebody else' } }
  }
  return { standing: standingIn(seen, raw, change), seen }
}

function standingIn(seen: Seen, raw: unknown, change: Change): Standing {
  const value = valueIn(seen, change.field)
  if (isDeepStrictEqual(value, change.from)) return { is: 'before' }
  if (!isDeepStrictEqual(value, change.to)) {
    const by = ownersOf(seen, change).filter((owner) => owner !== us)
    return { is: 'theirs', why: `it is ${textOf(value)} now${by.length > 0 ? `, by ${oneLine(by.join(', '))}` : ''}` }
  }
  // The gate of a rollout that began after the intent was written: it is that rollout's to open.
  if (change.field === 'suspend' && gateOf(raw) !== undefined)
    return { is: 'theirs', why: 'a rollout holds it', gated: true }
  const others = ownersOf(seen, change).filter((owner) => owner !== us)
  if (others.length === 0) return { is: 'ours' }
  return { is: 'theirs', why: `${oneLine(others.join(', '))} has set it to ${textOf(value)} too` }
}

/** `null` for what is not there. */
function valueIn({ spec }: Seen, field: Change['field']): Change['from'] | object {
  if (field === 'replicas') return spec.replicas ?? 1
  if (field === 'suspend') return spec.suspend ?? null
  const { forceUnlock, lockIdentifier } = spec.tfstate ?? {}
  if (forceUnlock === undefined && lockIdentifier === undefined) return null
  return { ...(forceUnlock !== undefined && { forceUnlock }), ...(lockIdentifier !== undefined && { lockIdentifier }) }
}

/**
 * Who has set what the change changes. The API server keeps that by itself, and takes a field away from its owners when
 * somebody else sets another value: so whoever sets a value and sets it back is told from one who never came near.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
function ownersOf({ metadata }: Seen, change: Change): string[] {
  const paths = pathsOf(change)
  const owners = metadata.managedFields.filter(({ fieldsV1 }) => paths.some((path) => owns(fieldsV1, path)))
  return [...new Set(owners.map(({ manager }) => manager))]
}

/** The fields that have another value after the change. */
function pathsOf(change: Change): string[][] {
  if (change.field !== 'forceUnlock') return [['spec', change.field]]
  const { from, to } = change
  const names = (['forceUnlock', 'lockIdentifier'] as const).filter((name) => from?.[name] !== to[name])
  return names.map((name) => ['spec', 'tfstate', name])
}

function owns(fields: unknown, path: readonly string[]): boolean {
  let at = fields
  for (const segment of path) {
    if (typeof at !== 'object' || at === null || !(`f:${segment}` in at)) return false
    at = (at as Record<string, unknown>)[`f:${segment}`]
  }
  return true
}

function patchTo(value: Change['from'], change: Change, seen: Seen): NonNullable<Decision<Standing>['patch']> {
  const body = { spec: specOf(change, value, seen) }
  const { resourceVersion } = seen.metadata
  return { body, resourceVersion, ...(change.field === 'replicas' && { subresource: 'scale' }) }
}

/**
 * A person who resumes an object opens its gate and leaves the mark. Were it still there once the unlock has suspended the
 * object, the rollout would take that for its gate, and so would whoever restores.
 */
function withoutOpenGate({ field }: Change, raw: unknown): object {
  if (field !== 'suspend' || gateOf(raw) === undefined) return {}
  return { metadata: { annotations: { [gateAnnotation]: null } } }
}

function specOf({ field }: Change, value: Change['from'], seen: Seen): object {
  if (field !== 'forceUnlock') return { [field]: value }
  if (value === null && isOnlyOurs(seen)) return { tfstate: null }
  const { forceUnlock = null, lockIdentifier = null } = (value ?? {}) as ForceUnlockValue
  return { tfstate: { forceUnlock, lockIdentifier } }
}

/** Whether all of `spec.tfstate` came with our change, the defaults of the CRD included. */
function isOnlyOurs({ metadata: { managedFields }, spec }: Seen): boolean {
  const { forceUnlock: _, lockIdentifier: __, ...rest } = spec.tfstate ?? {}
  if (Object.keys(rest).length === 0) return true
  const owners = managedFields.filter(({ fieldsV1 }) => owns(fieldsV1, ['spec', 'tfstate']))
  return owners.length > 0 && owners.every(({ manager }) => manager === us)
}

function textOf(value: unknown): string {
  return value === null ? 'not set' : oneLine(JSON.stringify(value))
}
