import { Stack } from 'aws-cdk-lib'
import { CfnAccessEntry } from 'aws-cdk-lib/aws-eks'
import { Construct } from 'constructs'
import type { FleetCluster } from '../../functions/lib/fleet.ts'
import { clusterRoleName, clusterWorks, groupsOf, roleArn } from './cluster-work.ts'
import { withoutBootstrap } from './without-bootstrap.ts'

/**
 * Each cluster is three access entries, and a stack holds 500 resources: that leaves two for whatever else a cluster needs in
 * its own account and region.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
 */
export const clustersPerStack = 95

export interface ClustersStackProps {
  /** Without an account it is the one that it is deployed to. */
  readonly env: { readonly account: string | undefined; readonly region: string }
  /** The name of Lockstep's own stack. */
  readonly lockstep: string
  /** Clusters of one account and region. */
  readonly clusters: readonly FleetCluster[]
}

/**
 * Lets Lockstep into clusters of one account and region: an access entry for each cluster and role. EKS wants roles that
 * are there already, so it comes after the stack that makes them. It has no assets, and asks for no bootstrap.
 */
export class ClustersStack extends Stack {
  readonly clusters: readonly FleetCluster[]

  constructor(scope: Construct, id: string, { env: { account, region }, lockstep, clusters }: ClustersStackProps) {
    super(scope, id, {
      description: 'Lockstep: access entries of the clusters of a region',
      env: { region, ...(account !== undefined && { account }) },
      synthesizer: withoutBootstrap(),
    })
    this.clusters = clusters
    for (const { name, eks } of clusters) {
      // In a scope of its own: `a-b` and `ab` would else have the same logical id.
      const scope = new Construct(this, name)
      for (const work of clusterWorks) {
        new CfnAccessEntry(scope, work, {
          clusterName: eks,
          principalArn: roleArn(this, clusterRoleName(lockstep, work)),
          type: 'STANDARD',
          kubernetesGroups: [...groupsOf[work]],
        })
      }
    }
  }
}
