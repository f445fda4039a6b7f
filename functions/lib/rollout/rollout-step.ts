import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import type { Fleet, FleetCluster } from '../fleet.ts'
import type { Ports } from '../step.ts'
import { branchOf } from './branch.ts'
import { countObjects, type Rollout } from './rollout.ts'
import { tellRollout } from './rollout-events.ts'

/** Input of every step after the claim: ids only. The rest is in the ledger. */
export const rolloutInputSchema = z.object({ rollout: z.string().min(1), cluster: z.string().min(1) })

/** What every step answers: counts, for people to read in the execution's history. */
export const countsSchema = z.object({
  objects: z.number().int(),
  ready: z.number().int(),
  failed: z.number().int(),
  open: z.number().int(),
  pending: z.number().int(),
  layers: z.number().int(),
})

/** There is no such rollout: its record has expired, or the ledger is another one. */
export class RolloutUnknown extends LockstepError {
  constructor(id: string) {
    super('RolloutUnknown', `The ledger has no rollout ${id}.`, 'Redeliver the webhook to start a new one.')
  }
}

/** The fleet has no cluster of this name: the state machine runs with another fleet than the functions. */
export class ClusterUnknown extends LockstepError {
  constructor(name: string) {
    super('ClusterUnknown', `The fleet has no cluster ${name}.`, 'Deploy again, so that functions and fleet agree.')
  }
}

/**
 * Reads a rollout, lets `work` update it, and writes it back. Meanwhile it publishes what the steps before have done, which
 * so costs no time and no write of its own. Throws RolloutUnknown and RolloutMoved.
 */
export async function updateRollout<T>(
  ports: Pick<Ports, 'ledger' | 'events' | 'clock' | 'log' | 'metrics'>,
  id: string,
  work: (rollout: Rollout) => Promise<T>,
): Promise<T> {
  const stored = await ports.ledger.readRollout(id)
  if (!stored) throw new RolloutUnknown(id)
  const { value: rollout, version } = stored
  // Before the work changes anything.
  const telling = tellRollout(rollout, ports)
  const result = await work(rollout).finally(() => telling)
  await ports.ledger.writeRollout(rollout, version)
  return result
}

/** Throws ClusterUnknown. */
export function clusterOf(fleet: Fleet, name: string): FleetCluster {
  const cluster = fleet.clusters.find((candidate) => candidate.name === name)
  if (!cluster) throw new ClusterUnknown(name)
  return cluster
}

/**
 * The other branches that rollouts have worked on in this cluster and that none works on now: what they left behind is
 * anybody's. A branch that this ledger does not know belongs to another installation of Lockstep, busy or not.
 */
export async function idleBranchesBeside(rollout: Rollout, { ledger, clock }: Ports): Promise<Set<string>> {
  const own = branchOf(rollout.push)
  const claims = await ledger.listClaims(rollout.cluster)
  const idle = claims.filter(
    ({ branch, holder, leaseUntil }) => branch !== own && !(holder && leaseUntil > clock.now()),
  )
  return new Set(idle.map(({ branch }) => branch))
}

/** Says in the log what a step has done. */
export function logCounts({ log }: Ports, message: string, rollout: Rollout): void {
  log.info(message, { rollout: rollout.id, cluster: rollout.cluster, ...countObjects(rollout) })
}
