import { Lazy, Stack } from 'aws-cdk-lib'
import { ManagedPolicy, PolicyStatement, type PrincipalBase, Role } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { FleetCluster } from '../../functions/lib/fleet.ts'
import { type ClusterWork, clusterRoleName, clusterWorks } from './cluster-work.ts'

export interface ClusterRolesProps {
  /** The name of Lockstep's own stack, which the roles' names begin with. */
  readonly lockstep: string
  /** The account that Lockstep is in. */
  readonly home: PrincipalBase
  /** ARNs of the roles of the functions that do this work. Asked for when all of them are known. */
  readonly trusted: (work: ClusterWork) => readonly string[]
  /** What the roles ask for besides, where they are in another account. */
  readonly externalId?: string | undefined
  /** All clusters of this account. */
  readonly clusters: readonly FleetCluster[]
}

/**
 * The roles of an account that its clusters know, one for each kind of work. Exactly the functions that do it take it on, under
 * their own names (their own policies see to that), so that a cluster's audit log tells who did what.
 *
 * Trust is given to Lockstep's account with a condition that names the functions' roles, and not to these roles as principals: IAM
 * takes only principals that are there already, and one that was made anew would not be trusted any more.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
 */
export class ClusterRoles extends Construct {
  readonly roles: Readonly<Record<ClusterWork, Role>>

  constructor(scope: Construct, id: string, { lockstep, home, trusted, externalId, clusters }: ClusterRolesProps) {
    super(scope, id)
    const roles = clusterWorks.map((work) => {
      const conditions = {
        ArnEquals: { 'aws:PrincipalArn': Lazy.any({ produce: () => trusted(work) }) },
        ...(externalId !== undefined && { StringEquals: { 'sts:ExternalId': externalId } }),
      }
      const role = new Role(this, work, {
        roleName: clusterRoleName(lockstep, work),
        description: `Lockstep: whoever ${work} in clusters`,
        assumedBy: home.withConditions(conditions),
      })
      return [work, role] as const
    })
    this.roles = Object.fromEntries(roles) as Record<ClusterWork, Role>
    for (const [at, part] of packed(clusters).entries()) {
      new ManagedPolicy(this, `Describe${at + 1}`, {
        description: "Lockstep: finds the fleet's clusters",
        statements: [new PolicyStatement({ actions: ['eks:DescribeCluster'], resources: part.map(this.arnOf) })],
        roles: Object.values(this.roles),
      })
    }
  }

  private readonly arnOf = ({ eks, region }: FleetCluster) =>
    Stack.of(this).formatArn({ service: 'eks', resource: 'cluster', resourceName: eks, region })
}

/** A managed policy holds 6,144 characters, and a role takes ten of them: room for some 900 clusters. */
const room = 5_900

/** As many clusters to each policy as it has room for, whatever the account and the partition are. */
function packed(clusters: readonly FleetCluster[]): FleetCluster[][] {
  const parts: FleetCluster[][] = []
  let left = 0
  for (const cluster of clusters) {
    const size = `"arn:aws-us-gov:eks:${cluster.region}:123456789012:cluster/${cluster.eks}",`.length
    if (left < size) {
      parts.push([])
      left = room
    }
    parts.at(-1)?.push(cluster)
    left -= size
  }
  return parts
}
