import * as z from 'zod'

/** `spec.backendConfig` of a Terraform. */
export const backendConfigSchema = z.looseObject({
  disable: z.boolean().default(false),
  secretSuffix: z.string().optional(),
  customConfiguration: z.string().default(''),
})

/** Which backend keeps an object's state. */
export type Backend =
  | { readonly type: 'kubernetes'; readonly namespace: string; readonly workspace: string; readonly suffix: string }
  /** A `backend` block of the object's own, by its type and attributes. */
  | { readonly type: 'custom'; readonly name: string; readonly attributes: Readonly<Record<string, string>> }
  | { readonly type: 'disabled' }

export interface BackendOwner {
  readonly namespace: string
  readonly name: string
  readonly workspace: string
  readonly backendConfig: z.infer<typeof backendConfigSchema> | undefined
}

/** Without a backendConfig it is Kubernetes, in the object's namespace, by the object's name. */
export function backendOf({ namespace, name, workspace, backendConfig }: BackendOwner): Backend {
  if (backendConfig?.disable) return { type: 'disabled' }
  const block = /backend\s+"(\w+)"\s*\{(.*)\}/s.exec(backendConfig?.customConfiguration ?? '')
  const [, type = 'kubernetes', body = ''] = block ?? []
  const attributes = attributesOf(body)
  if (type !== 'kubernetes') return { type: 'custom', name: type, attributes }
  return {
    type,
    namespace: attributes.namespace ?? namespace,
    workspace,
    suffix: attributes.secret_suffix ?? (backendConfig?.secretSuffix || name),
  }
}

/** The attributes of an HCL block whose values are literals. */
function attributesOf(body: string): Record<string, string> {
  const found = body.matchAll(/(\w+)\s*=\s*(?:"([^"]*)"|([\w.]+))/g)
  return Object.fromEntries([...found].map(([, name, text, literal]) => [name, text ?? literal ?? '']))
}
