import { Stack } from 'aws-cdk-lib'
import { AccountPrincipal } from 'aws-cdk-lib/aws-iam'
import type { Construct } from 'constructs'
import type { FleetCluster } from '../../functions/lib/fleet.ts'
import { ClusterRoles } from './cluster-roles.ts'
import { type ClusterWork, functionRoleName, roleArn } from './cluster-work.ts'
import { withoutBootstrap } from './without-bootstrap.ts'

export interface AccountStackProps {
  readonly env: { readonly account: string; readonly region: string | undefined }
  /** The name of Lockstep's own stack, and the account that it is in. */
  readonly lockstep: string
  readonly home: string
  readonly externalId: string
  /** The functions that do this work, by the names of their folders. */
  readonly handlersOf: (work: ClusterWork) => readonly string[]
  /** All clusters of the account. */
  readonly clusters: readonly FleetCluster[]
}

/**
 * What another account grants to Lockstep: the roles that its clusters know. Whoever owns the account can deploy the template
 * as it is: it has no assets, and asks for no bootstrap.
 */
export class AccountStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    { env, lockstep, home, externalId, handlersOf, clusters }: AccountStackProps,
  ) {
    super(scope, id, {
      description: "Lockstep: lets the functions of another account reach this account's clusters",
      env: { account: env.account, ...(env.region && { region: env.region }) },
      synthesizer: withoutBootstrap(),
    })
    new ClusterRoles(this, 'Roles', {
      ...{ lockstep, externalId, clusters },
      home: new AccountPrincipal(home),
      trusted: (work) => handlersOf(work).map((handler) => roleArn(this, functionRoleName(lockstep, handler), home)),
    })
  }
}
