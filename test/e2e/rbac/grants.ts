import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { each } from '../../../functions/lib/each.ts'
import {
  type Permission,
  readPermissions,
  readUnlockPermissions,
  resourceText,
} from '../../../infra/cluster/permissions.ts'
import type { Api } from '../cluster/api.ts'
import type { RunningCluster } from '../cluster/cluster.ts'
import { grantLockstep } from '../cluster/grant-lockstep.ts'

export const permissionText = (permission: Permission) => `${permission.verb} ${resourceText(permission)}`

/** Both bases, in the order in which they are installed. */
export const allPermissions = () => [...readPermissions(), ...readUnlockPermissions()]

const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole' }

/** What the API server lets Lockstep do: infra/cluster as it is shipped and infra/cluster/unlock, or less than that. */
export class Grants {
  private readonly cluster: Pick<RunningCluster, 'api' | 'lockstep'>

  constructor(cluster: Pick<RunningCluster, 'api' | 'lockstep'>) {
    this.cluster = cluster
  }

  async grantAll(): Promise<void> {
    await grantLockstep(this.cluster.api)
    await this.until(allPermissions())
  }

  /** infra/cluster without infra/cluster/unlock. */
  async grantNoUnlock(): Promise<void> {
    await grantLockstep(this.cluster.api)
    await this.cluster.api.apply({ ...role, metadata: { name: 'lockstep-unlock' }, rules: [] })
    await this.until(readPermissions())
  }

  /** The same, written out permission by permission in one ClusterRole, without one of them. */
  async grantAllBut(withheld: Permission): Promise<void> {
    const granted = allPermissions().filter((permission) => !isDeepStrictEqual(permission, withheld))
    const rules = granted.map(({ verb, group, resource, subresource, name }) => ({
      apiGroups: [group],
      resources: [subresource === undefined ? resource : `${resource}/${subresource}`],
      verbs: [verb],
      ...(name !== undefined && { resourceNames: [name] }),
    }))
    await this.cluster.api.apply({ ...role, metadata: { name: 'lockstep' }, rules })
    for (const name of ['lockstep-locks', 'lockstep-unlock'])
      await this.cluster.api.apply({ ...role, metadata: { name }, rules: [] })
    await this.until(granted)
  }

  /** Which of these the API server lets Lockstep do. */
  async allowedOf(permissions: readonly Permission[]): Promise<Permission[]> {
    const allowed = new Set<Permission>()
    await each(permissions, 8, async (permission) => {
      if (await mayDo(this.cluster.lockstep, permission)) allowed.add(permission)
    })
    return permissions.filter((permission) => allowed.has(permission))
  }

  /** The authorizer hears of a change a moment after it was made. */
  private async until(granted: readonly Permission[]): Promise<void> {
    const wanted = granted.map(permissionText)
    for (let looks = 0; looks < 500; looks++) {
      const allowed = (await this.allowedOf(allPermissions())).map(permissionText)
      if (isDeepStrictEqual(allowed, wanted)) return
      await pause(20)
    }
    throw new Error(`The API server does not grant just ${wanted.join(', ')}`)
  }
}

async function mayDo(api: Api, permission: Permission): Promise<boolean> {
  const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' }
  const body = { ...review, spec: { resourceAttributes: permission } }
  const answer = await api.request('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body })
  if (answer.status !== 201) throw new Error(`SelfSubjectAccessReview answered ${answer.status}`)
  return (answer.body as { status: { allowed: boolean } }).status.allowed
}
