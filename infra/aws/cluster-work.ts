import { ArnFormat, type Stack } from 'aws-cdk-lib'

/** The groups that infra/cluster gives its rights to: all functions, and those that judge locks or show plans besides. */
export const clusterGroup = 'lockstep'
export const locksGroup = 'lockstep-locks'
/** The group of infra/cluster/unlock: functions that unlock, and that put back what an unlock has changed. */
export const unlockGroup = 'lockstep-unlock'

/** What a function does in clusters. Each does what the one before it does, too. */
export const clusterWorks = ['orders', 'judges', 'unlocks'] as const
export type ClusterWork = (typeof clusterWorks)[number]

/** The Kubernetes groups of the role for a kind of work. */
export const groupsOf: Readonly<Record<ClusterWork, readonly string[]>> = {
  orders: [clusterGroup],
  judges: [clusterGroup, locksGroup],
  unlocks: [clusterGroup, locksGroup, unlockGroup],
}

/**
 * The name of the role for a kind of work, in each account: `Lockstep-orders`. It is fixed, as stacks of other regions and
 * accounts refer to it.
 */
export const clusterRoleName = (lockstep: string, work: ClusterWork) => `${lockstep}-${work}`

/** The name of a function's own role: `Lockstep-plan`. Roles in other accounts name it. */
export const functionRoleName = (lockstep: string, handler: string) => `${lockstep}-${handler}`

/** The ARN of a role in an account; in that of the stack if none is named. */
export function roleArn(stack: Stack, name: string, account = stack.account): string {
  const arnFormat = ArnFormat.SLASH_RESOURCE_NAME
  return stack.formatArn({ service: 'iam', region: '', account, resource: 'role', resourceName: name, arnFormat })
}
