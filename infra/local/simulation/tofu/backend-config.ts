import type * as z from 'zod'
import {
  type BackendBlock,
  backendBlockOf,
  type backendConfigSchema,
} from '../../../../functions/lib/locks/backends/backend-block.ts'
import { HclRefused } from '../../../../functions/lib/locks/backends/hcl.ts'

/** Which backend keeps an object's state. */
export type Backend =
  | { readonly type: 'kubernetes'; readonly namespace: string; readonly workspace: string; readonly suffix: string }
  | CustomBackend
  | { readonly type: 'disabled' }

/** A `backend` block of the object's own, by its type and its attributes that are no objects or lists. */
export interface CustomBackend {
  readonly type: 'custom'
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly workspace: string
}

export interface BackendOwner {
  readonly namespace: string
  readonly name: string
  readonly workspace: string
  readonly backendConfig: z.infer<typeof backendConfigSchema> | undefined
}

/** Without a backendConfig it is Kubernetes, in the object's namespace, by the object's name. */
export function backendOf(owner: BackendOwner): Backend {
  const block = blockOf(owner)
  if (!block) return { type: 'disabled' }
  const plain = [...block.attributes].filter(([, value]) => value !== null && typeof value !== 'object')
  const attributes = Object.fromEntries(plain.map(([name, value]) => [name, String(value)]))
  if (block.name !== 'kubernetes') return { type: 'custom', name: block.name, attributes, workspace: owner.workspace }
  const { namespace = 'default', secret_suffix: suffix } = attributes
  // OpenTofu refuses an empty suffix; here it is filled in, so that a test needs to say less.
  return { type: 'kubernetes', namespace, workspace: owner.workspace, suffix: suffix || owner.name }
}

/** What cannot be read is no backend here. */
function blockOf(owner: BackendOwner): BackendBlock | undefined {
  try {
    return backendBlockOf(owner)
  } catch (error) {
    if (error instanceof HclRefused) return undefined
    throw error
  }
}
