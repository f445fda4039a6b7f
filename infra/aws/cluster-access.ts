import { Annotations, Stack } from 'aws-cdk-lib'
import { CfnAccessEntry } from 'aws-cdk-lib/aws-eks'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import type { HandlerFunction } from './handler-function.ts'

/** The groups that infra/cluster gives its rights to: all functions, and some of them besides. */
export const clusterGroup = 'lockstep'
export const locksGroup = 'lockstep-locks'
/** Functions that show a plan, and that see whether it is still the one that people approved. */
export const plansGroup = 'lockstep-plans'
/** The group of infra/cluster/unlock: functions that unlock, and that put back what an unlock has changed. */
export const unlockGroup = 'lockstep-unlock'

/** What a function does in clusters. Each does what `orders` does, too; and `unlocks` what `judges` does. */
export type ClusterWork = 'orders' | 'approves' | 'judges' | 'unlocks'

const groupsOf: Readonly<Record<ClusterWork, string[]>> = {
  orders: [clusterGroup],
  approves: [clusterGroup, plansGroup],
  judges: [clusterGroup, locksGroup],
  unlocks: [clusterGroup, locksGroup, unlockGroup],
}

/**
 * Who may reach the fleet's clusters. In AWS: eks:DescribeCluster on exactly these. In each cluster: an access entry
 * that puts the function's role into the group `lockstep`, and the group's RBAC from infra/cluster. Who judges locks is in
 * `lockstep-locks` too, and who shows plans in `lockstep-plans`: nobody else can read a Secret. Who unlocks is in `lockstep-unlock` besides, which has no
 * rights before infra/cluster/unlock is applied.
 *
 * Every function keeps a role of its own, so that a cluster's audit log tells which of them did what. That is one
 * entry per function and cluster: EKS has room for far more, and this stack (500 resources) for some 18 clusters.
 */
export class ClusterAccess extends Construct {
  private readonly fleet: Fleet

  constructor(scope: Construct, id: string, fleet: Fleet) {
    super(scope, id)
    this.fleet = fleet
    const { region } = Stack.of(this)
    const elsewhere = fleet.clusters.filter((cluster) => cluster.region !== region).map(({ name }) => name)
    if (elsewhere.length === 0) return
    Annotations.of(this).addInfo(
      `Access entries can only be made in ${region}. Create those of ${elsewhere.join(', ')} by hand, one for each role of this stack with rights on clusters.`,
    )
  }

  grant(to: HandlerFunction, work: ClusterWork): void {
    const stack = Stack.of(this)
    to.allow(
      ['eks:DescribeCluster'],
      this.fleet.clusters.map(({ eks, region }) =>
        stack.formatArn({ service: 'eks', resource: 'cluster', resourceName: eks, region }),
      ),
    )
    for (const { name, eks, region } of this.fleet.clusters) {
      if (region !== stack.region) continue
      new CfnAccessEntry(this, `${to.node.id}-${name}`, {
        clusterName: eks,
        principalArn: to.role.roleArn,
        type: 'STANDARD',
        kubernetesGroups: groupsOf[work],
      })
    }
  }
}
