import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { LockstepError } from '../../errors.ts'
import { workloadKinds } from '../../flux/workload.ts'
import type { AnyKind, ObjectRef } from '../../kubernetes/cluster.ts'

const dnsName = '[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?'

/** `Kind/namespace/name` of one of these kinds. */
const objectKey = (...kinds: readonly AnyKind[]) =>
  z.string().regex(new RegExp(`^(?:${kinds.join('|')})/${dnsName}/${dnsName}$`))

/** Printable ASCII without spaces: ids of unlocks, of locks, of objects. */
export const plainId = z.string().regex(/^[\x21-\x7e]{1,200}$/)

const forceUnlockValue = z.strictObject({
  forceUnlock: z.enum(['no', 'yes', 'auto']).optional(),
  lockIdentifier: z.string().max(200).optional(),
})
export type ForceUnlockValue = z.infer<typeof forceUnlockValue>

/** One field of one object: what it is before, and what the unlock makes of it. `null` is a field that is not there. */
const changeSchema = z
  .discriminatedUnion('field', [
    z.strictObject({
      ...{ field: z.literal('replicas'), object: objectKey('Deployment'), uid: plainId },
      ...{ from: z.number().int().min(0), to: z.number().int().min(0) },
    }),
    z.strictObject({
      ...{ field: z.literal('suspend'), object: objectKey(...workloadKinds), uid: plainId },
      ...{ from: z.boolean().nullable(), to: z.boolean() },
    }),
    z.strictObject({
      /** `spec.tfstate.forceUnlock` and `spec.tfstate.lockIdentifier`: neither means anything alone. */
      ...{ field: z.literal('forceUnlock'), object: objectKey('Terraform'), uid: plainId },
      ...{ from: forceUnlockValue.nullable(), to: forceUnlockValue },
    }),
  ])
  .refine(({ from, to }) => !isDeepStrictEqual(from, to), 'changes nothing')

export type Change = z.infer<typeof changeSchema>
export type ChangedField = Change['field']

/** What a guarded unlock is about to change in a cluster, written down before the first change. It holds no secret. */
export const intentSchema = z.strictObject({
  unlock: plainId,
  cluster: z.string().min(1).max(200),
  /** When it was written, in milliseconds since the epoch. */
  at: z.number(),
  /** tofu-controller's. It carries the intent as an annotation. */
  deployment: z.strictObject({ object: objectKey('Deployment'), uid: plainId }),
  /** The one whose state is locked. */
  locked: z.strictObject({ object: objectKey('Terraform'), uid: plainId, lock: plainId }),
  /** In the order in which they are made: an applier before what it applies. */
  changes: z
    .array(changeSchema)
    .min(1)
    .refine(
      (changes) => new Set(changes.map(({ object, field }) => `${object} ${field}`)).size === changes.length,
      'a field is changed twice',
    ),
})
export type Intent = z.infer<typeof intentSchema>

/** Several hundred changes. All annotations of an object together may have 256 KiB, and others need room too. */
export const mostAnnotationBytes = 64 * 1024

/** There is more to change than what could be written down on the cluster. */
export class IntentTooLarge extends LockstepError {
  constructor({ changes }: Intent, bytes: number) {
    super(
      'IntentTooLarge',
      `The unlock would change ${changes.length} fields: to write them down takes ${bytes} bytes, more than the ${mostAnnotationBytes} that an annotation is given.`,
      'Unlock with a gentler rung, or suspend the objects by hand first.',
    )
  }
}

/** The text is no intent: damaged, changed by hand, or written by another version. */
export class IntentUnreadable extends LockstepError {
  constructor(where: string, why: string) {
    super(
      'IntentUnreadable',
      `What a guarded unlock was to change cannot be read from ${where} (${why}).`,
      "Compare tofu-controller's replicas and the suspended objects with Git by hand, then remove the annotation.",
    )
  }
}

const compactSchema = z.strictObject({
  v: z.literal(1),
  u: z.unknown(),
  c: z.unknown(),
  at: z.unknown(),
  d: z.unknown(),
  l: z.unknown(),
  ch: z.array(z.tuple([z.unknown(), z.unknown(), z.unknown(), z.unknown(), z.unknown()])),
})

/** The intent as an annotation: compact JSON. Throws IntentTooLarge. */
export function annotationOf(intent: Intent): string {
  const { unlock, cluster, at, deployment, locked, changes } = intent
  const text = JSON.stringify({
    ...{ v: 1, u: unlock, c: cluster, at },
    d: [deployment.object, deployment.uid],
    l: [locked.object, locked.uid, locked.lock],
    ch: changes.map(({ object, uid, field, from, to }) => [object, uid, field, from, to]),
  } satisfies z.input<typeof compactSchema>)
  const bytes = Buffer.byteLength(text)
  if (bytes > mostAnnotationBytes) throw new IntentTooLarge(intent, bytes)
  return text
}

/** `annotationOf`, backwards. Anybody may write an annotation: nothing of it is believed unread. Throws IntentUnreadable. */
export function intentIn(annotation: string, where: string): Intent {
  if (Buffer.byteLength(annotation) > mostAnnotationBytes) throw new IntentUnreadable(where, 'it is too long')
  const { c: cluster, u: unlock, at, d, l, ch } = parsed(compactSchema, jsonIn(annotation, where), where)
  const [deployment, deploymentUid] = listIn(d)
  const [locked, lockedUid, lock] = listIn(l)
  const intent = {
    ...{ unlock, cluster, at },
    deployment: { object: deployment, uid: deploymentUid },
    locked: { object: locked, uid: lockedUid, lock },
    changes: ch.map(([object, uid, field, from, to]) => ({ object, uid, field, from, to })),
  }
  return parsed(intentSchema, intent, where)
}

/** What the key of an object names. Only for keys that a schema has let through. */
export function refOfKey<K extends AnyKind>(key: string): ObjectRef<K> {
  const [kind = '', namespace = '', name = ''] = key.split('/')
  return { kind: kind as K, namespace, name }
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function jsonIn(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new IntentUnreadable(where, 'it is not JSON')
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const fields = new Set(result.error.issues.slice(0, 5).map(({ path }) => path.join('.') || 'all of it'))
  throw new IntentUnreadable(where, `not as it should be: ${[...fields].join(', ')}`)
}
