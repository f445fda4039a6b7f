import { Stack } from 'aws-cdk-lib'
import { AccountRootPrincipal, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import { ClusterRoles } from './cluster-roles.ts'
import { type ClusterWork, clusterRoleName, roleArn } from './cluster-work.ts'
import type { HandlerFunction } from './handler-function.ts'

/**
 * Who may reach the fleet's clusters. Functions have no rights on clusters themselves: each takes on the role for its kind of
 * work (`Lockstep-orders`, `Lockstep-judges`, `Lockstep-unlocks`), which is there in every account with clusters. A cluster
 * has an access entry for each of these roles (ClustersStack), that puts it into groups, and the groups' RBAC from
 * infra/cluster. Who judges locks, or shows plans, is in `lockstep-locks` too, and nobody else can read a Secret; who unlocks is in
 * `lockstep-unlock` besides, which has no rights before infra/cluster/unlock is applied.
 *
 * The name of a role's session is the function's, and no function may take another one's: a cluster's audit log tells
 * which of them did what.
 */
export class ClusterAccess extends Construct {
  private readonly fleet: Fleet
  private readonly roles: ClusterRoles
  private readonly functions: Readonly<Record<ClusterWork, HandlerFunction[]>> = { orders: [], judges: [], unlocks: [] }

  constructor(scope: Construct, id: string, fleet: Fleet) {
    super(scope, id)
    this.fleet = fleet
    this.roles = new ClusterRoles(this, 'Roles', {
      lockstep: Stack.of(this).stackName,
      home: new AccountRootPrincipal(),
      trusted: (work) => this.functions[work].map(({ role }) => role.roleArn),
      clusters: fleet.clusters.filter(({ account }) => account === undefined),
    })
  }

  grant(to: HandlerFunction, work: ClusterWork): void {
    this.functions[work].push(to)
    const stack = Stack.of(this)
    const own = this.roles.roles[work]
    const accounts = [...new Set(this.fleet.clusters.flatMap(({ account }) => account ?? []))]
    const elsewhere = accounts.map((account) => roleArn(stack, clusterRoleName(stack.stackName, work), account))
    to.role.addToPolicy(
      new PolicyStatement({
        actions: ['sts:AssumeRole'],
        resources: [own.roleArn, ...elsewhere],
        conditions: { StringEquals: { 'sts:RoleSessionName': to.handler } },
      }),
    )
    to.function.addEnvironment('CLUSTER_ROLE_ARN', own.roleArn)
  }

  /** The functions that do this work, by the names of their folders. */
  handlersOf(work: ClusterWork): string[] {
    return this.functions[work].map(({ handler }) => handler)
  }
}
