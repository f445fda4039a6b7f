import { isDeepStrictEqual } from 'node:util'
import { heldAnnotation, unlockAnnotation } from '../../functions/lib/flux/annotations.ts'
import type { KubernetesObject, StoreEvent } from '../../infra/local/kubernetes/object-store.ts'

export const wrongs = [
  'false unlock',
  'missed restore',
  'not audited before the delete',
  'not backed up before the delete',
  'two unlocks at a time',
  'somebody overridden',
  'old plan applied',
  'live run interrupted',
  'left behind',
] as const

/** What must never be. */
export interface Wrong {
  readonly what: (typeof wrongs)[number]
  readonly details: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** A process that took the lock: whether it can still write the state is what nobody in the world can read. */
export interface Holder {
  readonly id: string
  readonly name: string
  readonly alive: boolean
}

interface Field {
  /** As it is now. */
  value: unknown
  /** As it must be in the end: as it was at first, or as somebody else has left it. */
  wanted: unknown
  /** When somebody else last decided on it. */
  theirsAt: number
  /** As it was when the last intent was written down. */
  atIntent: unknown
  /** The unlock that has made it another one than it was, and has not put it back. */
  alteredBy: string | undefined
  /** When that was. */
  alteredAt: number
}

export interface TruthOptions {
  readonly now: () => number
  /** Whether Lockstep writes now, and for which unlock where that is known. */
  readonly writer: () => { readonly unlock: string | undefined } | undefined
}

/** What really is, what it must be in the end, and what went wrong. Nothing here comes from Lockstep's own words. */
export class Truth {
  readonly wrongs: Wrong[] = []
  /** Locks that Lockstep has removed. */
  unlocked = 0
  private readonly options: TruthOptions
  private readonly holders = new Map<string, Holder>()
  private readonly fields = new Map<string, Field>()
  private readonly audited = new Map<string, Set<string>>()
  private readonly backedUp = new Set<string>()
  /** The unlock whose intent was last written on the cluster, and when. */
  private intended: { readonly unlock: string; readonly at: number } | undefined
  /** Somebody has worked with the locked state by hand. */
  isByHand = false
  /** When a person, and not Lockstep, last removed the lock. */
  lockRemovedByHandAt = Number.NEGATIVE_INFINITY
  private brokenAt = Number.NEGATIVE_INFINITY

  constructor(options: TruthOptions) {
    this.options = options
  }

  wrong(what: Wrong['what'], details: string): void {
    const at = this.options.now()
    // The same thing may be seen again and again.
    if (this.wrongs.some((known) => known.what === what && known.details === details)) return
    this.wrongs.push({ what, details, at })
  }

  /** Processes so far. */
  get holderCount(): number {
    return this.holders.size
  }

  holds(holder: Holder): void {
    this.holders.set(holder.id, holder)
  }

  /** Everything is as it is to be kept. */
  begin(objects: readonly (readonly [string, KubernetesObject])[]): void {
    for (const [key, object] of objects) {
      for (const [field, value] of fieldsOf(key, object)) {
        this.fields.set(field, {
          ...{
            value,
            wanted: value,
            atIntent: value,
            theirsAt: Number.NEGATIVE_INFINITY,
            alteredBy: undefined,
            alteredAt: 0,
          },
        })
      }
    }
  }

  /** Of an object, after a write. */
  wrote(key: string, { type, object }: StoreEvent): void {
    const writer = this.options.writer()
    if (writer) this.noteIntent(object)
    for (const [name, value] of fieldsOf(key, object)) {
      const field = this.fields.get(name)
      if (!field) continue
      if (type === 'ADDED') this.decided(field, value)
      if (isDeepStrictEqual(field.value, value)) continue
      // Somebody has worked by hand with the state meanwhile: that is to be looked at before anything is built upon it.
      if (writer && this.isByHand && isHeldForPerson(object)) this.decided(field, value)
      else if (writer) this.lockstepWrote(name, field, value, writer.unlock)
      else this.decided(field, value)
    }
  }

  /** Somebody says what a field is, be it what it is already. */
  claimed(key: string, spec: object): void {
    for (const [name, value] of Object.entries(spec)) {
      const field = this.fields.get(`${key} ${name}`)
      if (field) this.decided(field, value)
    }
  }

  /** When an unlock made a field what it is; undefined where it is as it was, or as somebody else has made it. */
  alteredAt(name: string): number | undefined {
    const field = this.fields.get(name)
    return field?.alteredBy === undefined ? undefined : field.alteredAt
  }

  audit(unlock: string, id: string): void {
    const ids = this.audited.get(unlock) ?? new Set()
    this.audited.set(unlock, ids.add(id))
  }

  backUp(unlock: string): void {
    this.backedUp.add(unlock)
  }

  /** Lockstep, or the controller because Lockstep asked it to, has removed a part of a lock. */
  lockRemoved(id: string, by: 'lockstep' | 'controller'): void {
    const unlock = this.options.writer()?.unlock ?? this.intended?.unlock ?? ''
    this.unlocked++
    this.brokenAt = this.options.now()
    const holder = this.holders.get(id)
    if (holder?.alive) this.wrong('false unlock', `the lock ${id} of ${holder.name}, which works, was removed by ${by}`)
    const ids = [...(this.audited.get(unlock) ?? [])]
    const isAudited = ids.some((each) => (by === 'lockstep' ? each.startsWith('delete/') : each === 'force'))
    if (!isAudited) this.wrong('not audited before the delete', `the lock ${id}, by unlock ${unlock}`)
    if (!this.backedUp.has(unlock)) this.wrong('not backed up before the delete', `the lock ${id}, by unlock ${unlock}`)
  }

  /** A stored plan is applied, without a fresh one. */
  appliesStored(object: string, plannedAt: number): void {
    if (plannedAt < this.brokenAt) this.wrong('old plan applied', `to ${object}, whose lock was broken since`)
  }

  /** What is not as it must be, once everybody has done all that there was to do. */
  end(): void {
    for (const [name, { value, wanted }] of this.fields) {
      if (isDeepStrictEqual(value, wanted)) continue
      this.wrong('missed restore', `${name} is ${JSON.stringify(value)} in place of ${JSON.stringify(wanted)}`)
    }
  }

  /** Whether nothing of any unlock stands any more. */
  get isPutBack(): boolean {
    return [...this.fields.values()].every(({ value, wanted }) => isDeepStrictEqual(value, wanted))
  }

  private decided(field: Field, value: unknown): void {
    field.value = value
    field.wanted = value
    field.theirsAt = this.options.now()
    field.alteredBy = undefined
  }

  private lockstepWrote(name: string, field: Field, value: unknown, unlock: string | undefined): void {
    const since = this.intended?.at ?? Number.POSITIVE_INFINITY
    // What is as it was then may be changed, whoever has set it there and back.
    const isAsThen = field.alteredBy === undefined && isDeepStrictEqual(field.value, field.atIntent)
    if (isAsThen) field.theirsAt = Number.NEGATIVE_INFINITY
    else if (field.theirsAt > since) {
      const [was, is] = [JSON.stringify(field.value), JSON.stringify(value)]
      this.wrong('somebody overridden', `${name}: ${was} became ${is}`)
    }
    field.value = value
    if (isDeepStrictEqual(value, field.wanted)) {
      field.alteredBy = undefined
      return
    }
    const by = unlock ?? 'nobody'
    for (const [other, { alteredBy }] of this.fields) {
      if (alteredBy === undefined || alteredBy === by) continue
      this.wrong('two unlocks at a time', `${by} changes ${name}, while ${alteredBy} holds ${other}`)
    }
    field.alteredBy = by
    field.alteredAt = this.options.now()
  }

  private noteIntent({ metadata }: KubernetesObject): void {
    const unlock = unlockIn(metadata.annotations?.[unlockAnnotation])
    if (unlock === undefined || this.intended?.unlock === unlock) return
    this.intended = { unlock, at: this.options.now() }
    for (const field of this.fields.values()) field.atIntent = field.value
  }
}

function unlockIn(annotation: string | undefined): string | undefined {
  if (annotation === undefined) return undefined
  return (JSON.parse(annotation) as { u: string }).u
}

/** The fields that an unlock changes. `null` for what is not there. */
function fieldsOf(key: string, { spec }: KubernetesObject): [string, unknown][] {
  if (key.startsWith('Deployment/')) return [[`${key} replicas`, spec?.replicas ?? 1]]
  if (key.startsWith('Pod/') || key.startsWith('Lease/')) return []
  const suspend: [string, unknown] = [`${key} suspend`, spec?.suspend ?? null]
  if (!key.startsWith('Terraform/')) return [suspend]
  const { forceUnlock = null, lockIdentifier = null } = spec?.tfstate ?? {}
  return [suspend, [`${key} forceUnlock`, { forceUnlock, lockIdentifier }]]
}

function isHeldForPerson({ metadata }: KubernetesObject): boolean {
  return metadata.annotations?.[heldAnnotation] !== undefined
}
