import { posix } from 'node:path'
import * as z from 'zod'
import type { KubernetesBackend, S3Backend } from './object-backend.ts'

const text = z.string()
const addressSchema = z.discriminatedUnion('store', [
  z.object({ store: z.literal('dynamodb'), region: text, table: text, lockId: text }),
  z.object({ store: z.literal('s3'), bucket: text, key: text }),
  z.object({ store: z.literal('kubernetes'), cluster: text, namespace: text, name: text }),
])

const s3StateSchema = z.object({ store: z.literal('s3'), region: text, bucket: text, key: text })
const secretStateSchema = z.object({ store: z.literal('kubernetes'), cluster: text, namespace: text, name: text })

/** Where one state's lock can be, and the state. */
export const lockPlaceSchema = z.object({
  /** One, or two that are taken together: the lock file first, then the item of the lock table. */
  parts: z.array(addressSchema),
  state: z.discriminatedUnion('store', [s3StateSchema, secretStateSchema]),
})
export type LockPlace = z.infer<typeof lockPlaceSchema>
/** Where one state is. */
export type StateAddress = LockPlace['state']
export type S3StateAddress = z.infer<typeof s3StateSchema>
export type SecretStateAddress = z.infer<typeof secretStateSchema>

/** Where OpenTofu keeps what belongs to a backend. `cluster` is the one of the object. */
export function lockPlaceOf(backend: KubernetesBackend | S3Backend, cluster: string): LockPlace {
  return backend.type === 's3' ? s3Place(backend) : kubernetesPlace(backend, cluster)
}

function kubernetesPlace({ namespace, suffix, workspace }: KubernetesBackend, cluster: string): LockPlace {
  const name = `tfstate-${workspace}-${suffix}`
  const at = { store: 'kubernetes', cluster, namespace } as const
  return { parts: [{ ...at, name: `lock-${name}` }], state: { ...at, name } }
}

function s3Place(backend: S3Backend): LockPlace {
  const { bucket, region, table, lockfile } = backend
  const key = stateKey(backend)
  const file = { store: 's3', bucket, key: `${key}.tflock` } as const
  const item = table !== undefined && ({ store: 'dynamodb', region, table, lockId: `${bucket}/${key}` } as const)
  return { parts: [...(lockfile ? [file] : []), ...(item ? [item] : [])], state: { store: 's3', region, bucket, key } }
}

/** The default workspace is where `key` says; the path of any other one is cleaned when it is put together. */
function stateKey({ key, workspace, workspaceKeyPrefix }: S3Backend): string {
  return workspace === 'default' ? key : posix.join(workspaceKeyPrefix, workspace, key)
}

/** A state’s address for people: `s3://bucket/app/terraform.tfstate`. */
export function stateText(address: StateAddress): string {
  if (address.store === 's3') return `s3://${address.bucket}/${address.key}`
  return `Secret/${address.namespace}/${address.name} in ${address.cluster}`
}
