import type { Stack } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { FleetCluster } from '../../functions/lib/fleet.ts'
import type { FleetFile } from '../fleet.ts'
import { AccountStack } from './account-stack.ts'
import { ClustersStack, clustersPerStack } from './clusters-stack.ts'
import { addFleetTags } from './fleet-tags.ts'
import { LockstepStack } from './lockstep-stack.ts'
import { stableParts } from './stable-parts.ts'

/** Everything that is deployed for a fleet. */
export interface LockstepStacks {
  /** `Lockstep`: all of it but what is in clusters and in other accounts. */
  readonly lockstep: LockstepStack
  /** `Lockstep-Account-<account>`: the roles of each other account, in Lockstep's own region, since roles have none. */
  readonly accounts: readonly AccountStack[]
  /** `Lockstep-Clusters[-<account>]-<region>[-<part>]`: the access entries. */
  readonly clusters: readonly ClustersStack[]
}

/** Makes the stacks of a fleet, each in its account and region, in the order in which they are deployed. */
export function lockstepStacks(scope: Construct, file: FleetFile): LockstepStacks {
  const lockstep = new LockstepStack(scope, 'Lockstep', file)
  const byAccount = Map.groupBy(file.fleet.clusters, ({ account }) => account)
  const stacks = [...byAccount].map(([account, clusters]) => {
    const roles = account === undefined ? undefined : accountStack(scope, file, lockstep, account, clusters)
    return { roles, clusters: clustersStacks(scope, file, lockstep, { account, clusters, after: roles ?? lockstep }) }
  })
  const made = {
    lockstep,
    accounts: stacks.flatMap(({ roles }) => roles ?? []),
    clusters: stacks.flatMap(({ clusters }) => clusters),
  }
  // Lockstep's own stack has them already.
  for (const stack of [...made.accounts, ...made.clusters]) addFleetTags(stack, file.fleet)
  return made
}

function accountStack(
  scope: Construct,
  { fleet }: FleetFile,
  lockstep: LockstepStack,
  account: string,
  clusters: readonly FleetCluster[],
): AccountStack {
  return new AccountStack(scope, `${lockstep.stackName}-Account-${account}`, {
    env: { account, region: fleet.clusters[0]?.region },
    lockstep: lockstep.stackName,
    // The fleet's rules have seen to both.
    home: fleet.account ?? '',
    externalId: clusters[0]?.externalId ?? '',
    handlersOf: (work) => lockstep.clusters.handlersOf(work),
    clusters,
  })
}

interface OfAccount {
  /** Undefined for Lockstep's own. */
  readonly account: string | undefined
  readonly clusters: readonly FleetCluster[]
  /** The stack with the account's roles. */
  readonly after: Stack
}

function clustersStacks(
  scope: Construct,
  { fleet }: FleetFile,
  { stackName }: LockstepStack,
  { account, clusters, after }: OfAccount,
): ClustersStack[] {
  const regions = [...Map.groupBy(clusters, ({ region }) => region)]
  return regions.flatMap(([region, inRegion]) => {
    const name = [stackName, 'Clusters', ...(account === undefined ? [] : [account]), region].join('-')
    let before = after
    return stableParts(inRegion, ({ eks }) => eks, clustersPerStack).flatMap((part, at) => {
      if (part.length === 0) return []
      const made = new ClustersStack(scope, at === 0 ? name : `${name}-${at + 1}`, {
        env: { account: account ?? fleet.account, region },
        lockstep: stackName,
        clusters: part,
      })
      made.addStackDependency(before, 'an entry is given up by the one stack before another one makes it')
      before = made
      return made
    })
  })
}
