import { posix } from 'node:path'
import type { LockAddress } from '../stores/lock-store.ts'
import type { KubernetesBackend, S3Backend } from './object-backend.ts'

/** Where one state's lock can be, and the state. */
export interface LockPlace {
  /** One, or two that are taken together: the lock file first, then the item of the lock table. */
  readonly parts: readonly LockAddress[]
  readonly state: StateAddress
}

/** Where one state is. */
export type StateAddress = S3StateAddress | SecretStateAddress

export interface S3StateAddress {
  readonly store: 's3'
  readonly region: string
  readonly bucket: string
  readonly key: string
}

export interface SecretStateAddress {
  readonly store: 'kubernetes'
  readonly cluster: string
  readonly namespace: string
  readonly name: string
}

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
