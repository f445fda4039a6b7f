import { each } from '../../each.ts'
import { nameOf } from '../../flux/object.ts'
import { type LockPlace, lockPlaceOf } from '../backends/lock-place.ts'
import { backendOf, type ObjectBackend, type ReadConfiguration } from '../backends/object-backend.ts'
import type { OwnedPlace } from '../evidence/gather.ts'
import { addressText } from '../stores/lock-store.ts'
import { whyFailed } from './lock-access.ts'
import { placeKey } from './observation.ts'
import type { Finding } from './scan-report.ts'

export interface ObjectPlacesOptions {
  readonly cluster: string
  /** Where the cluster is: what a backend without a region means. */
  readonly region: string
  readonly readConfiguration: ReadConfiguration
  /** See `LockAccess`. */
  readonly endpoints?: readonly string[] | undefined
}

/** Where the locks of a cluster's objects can be, and what is wrong with the others. */
export interface ObjectPlaces {
  /** By key. */
  readonly places: ReadonlyMap<string, OwnedPlace>
  readonly findings: readonly Finding[]
  /** Objects (`flux-system/vpc`) that may keep their state anywhere, one that is another's included. */
  readonly unplaced: readonly string[]
  /** Those that may keep it in another cluster, besides. */
  readonly elsewhere: readonly string[]
}

/** Objects whose configuration is read at a time. */
const width = 8

/** Finds the places of raw Terraform objects. An object that cannot be read is a finding, the others go on. */
export async function objectPlaces(objects: readonly unknown[], options: ObjectPlacesOptions): Promise<ObjectPlaces> {
  const owned: OwnedPlace[] = []
  const findings: Finding[] = []
  const [unplaced, elsewhere]: [string[], string[]] = [[], []]
  await each(objects, width, async (raw) => {
    const [namespace, name] = nameOf(raw)?.split('/') ?? []
    if (namespace === undefined || name === undefined) return
    const backend = await readBackend(raw, options)
    const problem = problemOf(backend, options)
    if (problem) findings.push({ ...problem, subject: `Terraform/${namespace}/${name}` })
    const place = placeIn(backend, options)
    const owner = { cluster: options.cluster, namespace, name }
    if (place) owned.push({ ...place, key: placeKey(place.parts), owner })
    if (backend.type === 'unreadable' || backend.type === 'unlocked') unplaced.push(`${namespace}/${name}`)
    if ('kubeconfig' in backend || (backend.type === 'unsupported' && backend.name === 'kubernetes')) {
      elsewhere.push(`${namespace}/${name}`)
    }
  })
  // They have arrived in no order, and of those that share a place the first one stands for all.
  owned.sort((a, b) => (subjectOf(a) < subjectOf(b) ? 1 : -1))
  const byPart = Map.groupBy(
    owned.flatMap((place) => place.parts.map((part) => ({ part: addressText(part), place }))),
    ({ part }) => part,
  )
  const keeping = (place: OwnedPlace) =>
    new Set(place.parts.flatMap((part) => byPart.get(addressText(part)) ?? []).map((other) => other.place))
  const places = new Map<string, OwnedPlace>()
  for (const place of owned) {
    const keepers = [...keeping(place)]
    const others = keepers.filter((other) => other !== place && other.key === place.key).map(({ owner }) => owner)
    const names = keepers.map(({ owner }) => owner.name)
    // Objects of one name have runners of one name; and one that shares a part only has another lock.
    const isShared = new Set(names).size < names.length || keepers.some(({ key }) => key !== place.key)
    const subjects = keepers.map(subjectOf).sort().slice(0, 3).join(' and ')
    const shared = `${subjects} keep one state: whose runner it is cannot be told`
    if (keepers.length > 1)
      findings.push({ kind: 'shared', subject: subjectOf(place), why: `${subjects} keep one state` })
    places.set(place.key, { ...place, ...(others.length > 0 && { others }), ...(isShared && { shared }) })
  }
  return { places, findings, unplaced, elsewhere }
}

async function readBackend(raw: unknown, { readConfiguration, region }: ObjectPlacesOptions): Promise<ObjectBackend> {
  try {
    return await backendOf(raw, readConfiguration, region)
  } catch (error) {
    return { type: 'unreadable', why: whyFailed(error) }
  }
}

function subjectOf({ owner }: OwnedPlace): string {
  return `Terraform/${owner.namespace}/${owner.name}`
}

function placeIn(backend: ObjectBackend, { cluster, endpoints }: ObjectPlacesOptions): LockPlace | undefined {
  if (backend.type === 'kubernetes') return lockPlaceOf(backend, cluster)
  if (backend.type !== 's3' || isElsewhere(backend, endpoints)) return undefined
  return lockPlaceOf(backend, cluster)
}

function problemOf(backend: ObjectBackend, { endpoints }: ObjectPlacesOptions): Omit<Finding, 'subject'> | undefined {
  switch (backend.type) {
    case 'kubernetes':
      return undefined
    case 's3':
      if (!isElsewhere(backend, endpoints)) return undefined
      return { kind: 'unsupported', why: 'its backend names endpoints that are not the fleet’s' }
    case 'unsupported':
      return { kind: 'unsupported', why: `backend ${backend.name}: ${backend.why}` }
    case 'unlocked':
    case 'unreadable':
      return { kind: backend.type, why: backend.why }
  }
}

function isElsewhere(backend: Extract<ObjectBackend, { type: 's3' }>, endpoints: readonly string[] = []): boolean {
  return Object.values(backend.endpoints ?? {}).some((endpoint) => !endpoints.includes(endpoint))
}
