import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import * as z from 'zod'
import { type Cluster, ClusterError } from '../../kubernetes/cluster.ts'
import { type StateAddress, stateText } from '../backends/lock-place.ts'
import type { StateEvidence } from '../evidence.ts'
import { clusterFailure } from '../stores/cluster-failure.ts'
import { millisecondsOf } from '../stores/lock-info.ts'
import { LockStoreError } from '../stores/lock-store.ts'
import { type StateContent, stateContentOf, stateSizeLimit } from './state-content.ts'
import { noStateOf, type StateReader } from './state-reader.ts'

const secretSchema = z.object({
  metadata: z.object({
    resourceVersion: z.string().min(1),
    managedFields: z.array(z.unknown()).nullish().catch([]),
  }),
  data: z.object({ tfstate: z.string().optional() }).nullish(),
})

type Secret = z.infer<typeof secretSchema>

const dataWrittenSchema = z.object({ time: z.string(), fieldsV1: z.object({ 'f:data': z.looseObject({}) }) })

const unzipped = promisify(gunzip)

/** States of OpenTofu's backend `kubernetes`: a Secret with the gzipped state in it. */
export class SecretStateReader implements StateReader {
  private readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  async read(address: StateAddress): Promise<StateEvidence> {
    const isHere = address.store === 'kubernetes' && address.cluster === this.cluster.name
    if (!isHere) throw noStateOf(`Secrets of cluster ${this.cluster.name}`, address)
    const { namespace, name } = address
    try {
      const secret = await this.cluster.get({ kind: 'Secret', namespace, name })
      return await this.evidenceIn(secret, stateText(address))
    } catch (error) {
      if (error instanceof ClusterError && error.name === 'ClusterNotFound') return { exists: false }
      throw clusterFailure({ store: stateText(address), verb: 'get', resource: 'secrets' }, error)
    }
  }

  private async evidenceIn(raw: unknown, store: string): Promise<StateEvidence> {
    const secret = secretSchema.safeParse(raw).data
    if (!secret) {
      const next = 'Look at the Secret: OpenTofu did not write it like this.'
      throw new LockStoreError('LockStoreRejected', store, 'it is not of the expected shape.', next)
    }
    // OpenTofu makes the Secret first, and puts the state into it then.
    if (secret.data?.tfstate === undefined) return { exists: false }
    const modifiedAt = dataWrittenAt(secret)
    return {
      exists: true,
      version: secret.metadata.resourceVersion,
      ...(await contentOf(Buffer.from(secret.data.tfstate, 'base64'))),
      ...(modifiedAt !== undefined && { modifiedAt }),
    }
  }
}

/** What is no gzip, or far too much of it, has the size that it takes in the Secret. */
async function contentOf(stored: Buffer): Promise<StateContent> {
  try {
    return stateContentOf(await unzipped(stored, { maxOutputLength: stateSizeLimit }))
  } catch {
    return { sizeBytes: stored.length }
  }
}

/** When somebody last wrote data, by the API server's clock. */
function dataWrittenAt({ metadata }: Secret): number | undefined {
  const times = (metadata.managedFields ?? []).flatMap((entry) => {
    const written = dataWrittenSchema.safeParse(entry).data
    return (written && millisecondsOf(written.time)) ?? []
  })
  return times.length > 0 ? Math.max(...times) : undefined
}
