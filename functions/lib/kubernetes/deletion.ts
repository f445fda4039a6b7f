import * as z from 'zod'
import { type AnyKind, type Cluster, ClusterError, type Deletion, type ObjectRef } from './cluster.ts'
import { getIfThere } from './get-if-there.ts'

/** A delete that must hit one object only. */
export interface UidDelete {
  readonly ref: ObjectRef<AnyKind>
  readonly uid: string
  /** Sends it, with the UID as its precondition. */
  readonly send: () => Promise<unknown>
}

const identitySchema = z.object({ metadata: z.object({ uid: z.string() }) })

/** What became of a delete by UID. Rejects with ClusterError; with ClusterConflict where it may be asked once more. */
export async function deletion(cluster: Cluster, { ref, uid, send }: UidDelete): Promise<Deletion> {
  try {
    await send()
    return 'deleted'
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error
    if (error.name === 'ClusterNotFound') return 'gone'
    if (error.name !== 'ClusterConflict') throw error
    // A conflict may also come from somebody who wrote at that moment: only another UID tells of another object.
    const found = await getIfThere(cluster, ref)
    if (found === undefined) return 'gone'
    const identity = identitySchema.safeParse(found).data
    if (identity === undefined || identity.metadata.uid === uid) throw error
    return 'another'
  }
}
