import { sourcesOf } from '../../plan/affected.ts'
import type { FleetCluster } from '../fleet.ts'
import { readWorkload } from '../flux/readiness.ts'
import { commitOf } from '../flux/revision.ts'
import type { Push } from '../push.ts'
import { commitsFor, type PlannedObject, type Rollout } from '../rollout/rollout.ts'
import { readBranch } from './branch-state.ts'
import { foundPush } from './found-push.ts'
import { type BranchPorts, branchElsewhere, branchesOf } from './lost-push.ts'
import { peopleAsked } from './people-asked.ts'
import type { SweptCluster } from './swept-cluster.ts'

/** So often a commit is rolled out in a cluster and fails, before it is left to people. */
const mostFailures = 3

/** Rollouts looked at for that. */
const historyLength = 50

/**
 * Pushes whose latest rollout in the cluster has failed, and whose cause is gone: the sources serve the commit, and all
 * that was not Ready in the end is by now. They are rolled out again, so that the report tells the truth and the waves
 * that come after have their turn. Not what a person has stopped or released, nor where people are asked about a wave of
 * it, or did not agree to one, nor what only another push can mend. While
 * a rollout is under way it goes on by itself (functions/hold). Rejects with LedgerUnavailable.
 */
export async function followUps(cluster: FleetCluster, swept: SweptCluster, ports: BranchPorts): Promise<Push[]> {
  const pushes: Push[] = []
  for (const branch of branchesOf(cluster, ports)) {
    const { newest, busy } = await readBranch(cluster.name, branch, ports)
    if (!newest || busy || !isMended(newest, swept)) continue
    if ((await failuresOf(newest, ports)) >= mostFailures) continue
    const others = await branchElsewhere(cluster.name, branch, ports)
    // Those of its own wave may be at it still: the next one would be begun without them.
    if (others.some((other) => other.busy)) continue
    const { push } = newest
    const after = rolledOut(newest)
    if ((await peopleAsked(branch, push.after, ports)) !== undefined) continue
    pushes.push(
      foundPush({
        ...{ repository: push.repository, branch: push.branch, after, pushedAt: push.pushedAt + 1 },
        before: after === push.after ? push.before : push.after,
        // Of a newer commit that was served in its place it is the nearest that is known.
        pusher: push.pusher,
        because: [newest.id],
      }),
    )
  }
  return pushes
}

/** The commit that the rollout was about in the end. */
function rolledOut({ commit, push }: Rollout): string {
  return commit ?? push.after
}

function isMended(rollout: Rollout, swept: SweptCluster): boolean {
  if (rollout.outcome !== 'failed' || rollout.stopped) return false
  const sources = sourcesOf(rollout.push, swept.sources.values())
  const isServed = sources.every(({ revision, suspended }) => commitOf(revision) === rolledOut(rollout) && !suspended)
  if (sources.length === 0 || !isServed) return false
  return rollout.objects.every((object) => isPassed(object) || isReadyNow(rollout, object, swept))
}

/** As in the report: what a person had suspended before is no failure. */
function isPassed({ phase, notHeld, reason }: PlannedObject): boolean {
  return phase === 'ready' || phase === 'gone' || (notHeld === 'person' && reason === 'Suspended')
}

function isReadyNow(rollout: Rollout, object: PlannedObject, { sources, workloads }: SweptCluster): boolean {
  // A mistake in the order stays one, whatever its controller makes of the object.
  if (object.reason === 'OrderInvalid') return false
  const workload = workloads.get(object.key)?.workload
  // It is gone, and so is what failed of it.
  if (!workload) return true
  const expectation = {
    ...{ follows: object.follows, commits: commitsFor(rollout, object), token: undefined },
    source: sources.get(object.source ?? ''),
  }
  return readWorkload(workload, expectation).state === 'ready'
}

async function failuresOf(rollout: Rollout, { ledger }: BranchPorts): Promise<number> {
  const history = await ledger.listRollouts(rollout.cluster, historyLength)
  return history.filter(({ commit, outcome }) => outcome === 'failed' && commit === rollout.commit).length
}
