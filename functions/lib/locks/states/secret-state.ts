import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import * as z from 'zod'
import { type Cluster, ClusterError } from '../../kubernetes/cluster.ts'
import { type SecretStateAddress, type StateAddress, stateText } from '../backends/lock-place.ts'
import type { StateEvidence } from '../evidence.ts'
import { clusterFailure } from '../stores/cluster-failure.ts'
import { millisecondsOf } from '../stores/lock-info.ts'
import { LockStoreError } from '../stores/lock-store.ts'
import { type StateContent, stateContentOf, stateSizeLimit } from './state-content.ts'
import { noStateOf } from './state-reader.ts'

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

/** A Secret that has a state in it. */
export interface StateSecret {
  /** The state as it is stored: gzip in base64. It is secret. */
  readonly tfstate: string
  readonly evidence: Extract<StateEvidence, { exists: true }>
}

/** The address as one of this cluster. Throws NoLockOfThisStore. */
export function secretAddressIn(cluster: Cluster, address: StateAddress): SecretStateAddress {
  if (address.store === 'kubernetes' && address.cluster === cluster.name) return address
  throw noStateOf(`Secrets of cluster ${cluster.name}`, address)
}

/** Reads a Secret of OpenTofu's; undefined where there is none, or no state in it yet. Throws LockStoreError. */
export async function readStateSecret(cluster: Cluster, address: SecretStateAddress): Promise<StateSecret | undefined> {
  const { namespace, name } = address
  try {
    return await stateSecretIn(await cluster.get({ kind: 'Secret', namespace, name }), stateText(address))
  } catch (error) {
    if (error instanceof ClusterError && error.name === 'ClusterNotFound') return undefined
    throw clusterFailure({ store: stateText(address), verb: 'get', resource: 'secrets' }, error)
  }
}

async function stateSecretIn(raw: unknown, store: string): Promise<StateSecret | undefined> {
  const secret = secretSchema.safeParse(raw).data
  if (!secret) {
    const next = 'Look at the Secret: OpenTofu did not write it like this.'
    throw new LockStoreError('LockStoreRejected', store, 'it is not of the expected shape.', next)
  }
  const tfstate = secret.data?.tfstate
  // OpenTofu makes the Secret first, and puts the state into it then.
  if (tfstate === undefined) return undefined
  const modifiedAt = dataWrittenAt(secret)
  const evidence = {
    exists: true as const,
    version: secret.metadata.resourceVersion,
    ...(await contentOf(Buffer.from(tfstate, 'base64'))),
    ...(modifiedAt !== undefined && { modifiedAt }),
  }
  return { tfstate, evidence }
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
