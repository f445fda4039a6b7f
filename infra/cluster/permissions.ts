import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'
import * as z from 'zod'

/** One verb on one resource, in all namespaces unless one is named. */
export interface Permission {
  readonly verb: string
  /** `''` for the core group. */
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly namespace?: string
  /** Of the one object that is meant. */
  readonly name?: string
}

const roleSchema = z.object({
  kind: z.enum(['ClusterRole', 'Role']),
  metadata: z.object({ namespace: z.string().optional() }),
  rules: z.array(
    z.strictObject({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      verbs: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
    }),
  ),
})

/** Everything that rbac.yaml, beside this file, lets Lockstep do: to put rollouts in order, judge locks and show plans. */
export function readPermissions(): Permission[] {
  return permissionsIn('rbac.yaml')
}

/** What unlock/rbac.yaml lets it do besides: to unlock. */
export function readUnlockPermissions(): Permission[] {
  return permissionsIn('unlock/rbac.yaml')
}

function permissionsIn(file: string): Permission[] {
  const documents = parseAllDocuments(readFileSync(new URL(file, import.meta.url), 'utf8'))
  return documents.flatMap((document) => {
    const role = roleSchema.safeParse(document.toJS())
    return role.success ? permissionsOf(role.data) : []
  })
}

function permissionsOf({ metadata, rules }: z.infer<typeof roleSchema>): Permission[] {
  const permissions: Permission[] = []
  for (const { apiGroups, resources, verbs, resourceNames = [undefined] } of rules) {
    for (const group of apiGroups)
      for (const path of resources)
        for (const verb of verbs)
          for (const name of resourceNames) {
            const [resource = '', subresource] = path.split('/')
            permissions.push({
              ...{ verb, group, resource },
              ...(subresource !== undefined && { subresource }),
              ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
              ...(name !== undefined && { name }),
            })
          }
  }
  return permissions
}

/** `terraforms/status.infra.contrib.fluxcd.io`: what a permission is for, as kubectl names it. */
export function resourceText({ group, resource, subresource, namespace, name }: Permission): string {
  const path = subresource === undefined ? resource : `${resource}/${subresource}`
  const of = group === '' ? path : `${path}.${group}`
  return [of, ...(name === undefined ? [] : [name]), ...(namespace === undefined ? [] : [`in ${namespace}`])].join(' ')
}

/** The groups that the two bases bind: whoever puts rollouts in order and judges locks, and whoever unlocks. */
export const lockstepGroups = {
  orders: ['lockstep', 'lockstep-locks'],
  unlocks: ['lockstep', 'lockstep-locks', 'lockstep-unlock'],
}
