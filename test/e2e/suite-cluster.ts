import { inject } from 'vitest'
import { type ClusterOptions, type RunningCluster, startCluster } from './cluster/cluster.ts'
import { grantLockstep } from './cluster/grant-lockstep.ts'

/**
 * A cluster for one suite, with what was built for this run: Flux, tofu-controller (the real one or the simulated one,
 * whichever there is), and the rights of infra/cluster for the user lockstep. The suite stops it.
 */
export async function clusterOfSuite(options: Partial<ClusterOptions> = {}): Promise<RunningCluster> {
  const cluster = await startCluster({ upstream: inject('upstream'), tofu: inject('tofuController'), ...options })
  await grantLockstep(cluster.api)
  return cluster
}
