import { each } from '../lib/each.ts'
import { freeLook, ownerlessLook } from '../lib/locks/evidence/gather.ts'
import { storeNameOf, whyFailed } from '../lib/locks/scan/lock-access.ts'
import { type Observation, placeKey } from '../lib/locks/scan/observation.ts'
import { Scan, type ScanCounts, skippedScan } from '../lib/locks/scan/scan.ts'
import type { FoundLock } from '../lib/locks/stores/lock-store.ts'
import type { StorePorts } from '../lib/step.ts'

/** Stores and places at a time. */
const width = 8

/**
 * Looks at the locks of the fleet's tables and buckets that belong to no object of any cluster, as the latest scans of
 * the clusters tell, and at those whose object has gone. They are never stale: nobody knows who holds them.
 */
export async function judgeOthers(execution: string, ports: StorePorts): Promise<ScanCounts> {
  const scan = await Scan.begin({ cluster: undefined, execution }, ports)
  if (!scan) return skippedScan
  const { owned, unread } = await ownedPlaces(ports)
  const at = ports.clock.now()
  const { locks, failed } = await storedLocks(scan, ports)

  const others = new Map<string, FoundLock>()
  for (const lock of locks) {
    const key = placeKey([lock.address])
    if (!owned.has(key)) others.set(key, lock)
  }
  await each([...others], width, ([key, lock]) => scan.saw(key, ownerlessLook([lock], at, unread)))

  const isLeft = ({ key, cluster, evidence, judgement }: Observation) => {
    if (judgement.verdict === 'free' || owned.has(key) || others.has(key)) return false
    if (cluster === undefined || !isInFleet(cluster, ports)) return true
    // Leases are its cluster's; and where a cluster has no report, its objects are not known.
    return !unread.includes(cluster) && evidence.lock.parts.some(({ store }) => store !== 'kubernetes')
  }
  await each([...scan.previous.values()].filter(isLeft), width, async ({ key, evidence }) => {
    const why = evidence.lock.parts.flatMap((part) => failed.get(storeNameOf(part) ?? '') ?? [])[0]
    if (why !== undefined) return scan.couldNotRead(key, why)
    return scan.saw(key, freeLook(evidence.owner, at))
  })
  return scan.end(undefined)
}

function isInFleet(cluster: string, { fleet }: StorePorts): boolean {
  return fleet.clusters.some(({ name }) => name === cluster)
}

/** The places of all objects, and the clusters whose objects are not known. */
async function ownedPlaces({ fleet, ledger }: StorePorts): Promise<{ owned: Set<string>; unread: string[] }> {
  const owned = new Set<string>()
  const unread: string[] = []
  await each(fleet.clusters, width, async ({ name }) => {
    const report = await ledger.readScan(name)
    if (!report?.kept) unread.push(name)
    for (const place of report?.kept?.places ?? []) owned.add(place)
  })
  return { owned, unread: unread.sort() }
}

/** What all stores hold; and by its name, why one could not be asked. */
async function storedLocks(scan: Scan, { locks: { stores } }: StorePorts) {
  const locks: FoundLock[] = []
  const failed = new Map<string, string>()
  await each(stores, width, async (store) => {
    try {
      locks.push(...(await store.list()))
    } catch (error) {
      const why = whyFailed(error)
      failed.set(store.name, why)
      scan.addUnreadable(store.name, why)
    }
  })
  return { locks, failed }
}
