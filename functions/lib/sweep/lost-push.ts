import { sourcesOf } from '../../plan/affected.ts'
import { each } from '../each.ts'
import type { FleetCluster } from '../fleet.ts'
import { commitOf, shortCommit } from '../flux/revision.ts'
import type { Source } from '../flux/source.ts'
import type { Push } from '../push.ts'
import type { Branch } from '../rollout/branch.ts'
import type { Ports } from '../step.ts'
import { type BranchState, knows, lagsBehind, readBranch } from './branch-state.ts'
import type { Found } from './finding.ts'
import { foundPush } from './found-push.ts'
import { peopleAsked } from './people-asked.ts'
import type { Declined, FirstSeen } from './sweep-record.ts'

/** For how long a source has to serve a commit before its webhook counts as lost, in milliseconds. */
export const patienceMs = 5 * 60_000

/** How far clocks of clusters may be behind GitHub's, in milliseconds. */
const clocksDifferMs = 10 * 60_000

/** Clusters whose branches are read at a time. */
const width = 16

export type BranchPorts = Pick<Ports, 'fleet' | 'ledger' | 'clock'>

export interface LostPushes {
  /** To be started. */
  readonly pushes: readonly Push[]
  readonly found: readonly Found[]
  /** For the next sweep. */
  readonly firstSeen: FirstSeen
  readonly declined: Declined
}

/** The branches that a cluster follows. */
export function branchesOf({ repositories }: FleetCluster, { fleet }: Pick<Ports, 'fleet'>): Branch[] {
  return fleet.repositories
    .filter(({ name }) => repositories.includes(name))
    .flatMap(({ name, host, branches }) => branches.map((branch) => ({ repository: { name, host }, branch })))
}

/**
 * Commits that the cluster's sources have moved to, and that no rollout knows: their webhooks were lost. Nothing is done
 * while a rollout of the branch is at work anywhere, as it may bring the commit. A commit that a rollout elsewhere knows
 * comes here in its turn, unless that rollout has ended badly, which is told. What a source served before Lockstep had
 * rolled out anything of its branch is where it began. What people did not agree to is left alone for as long as it is served.
 * Rejects with LedgerUnavailable.
 */
export async function lostPushes(
  cluster: FleetCluster,
  sources: Iterable<Source>,
  before: Partial<Pick<LostPushes, 'firstSeen' | 'declined'>>,
  ports: BranchPorts,
): Promise<LostPushes> {
  const all = [...sources]
  const pushes: Push[] = []
  const found: Found[] = []
  const firstSeen: Record<string, FirstSeen[string]> = {}
  const declined: Record<string, string> = {}
  for (const branch of branchesOf(cluster, ports)) {
    const own = await readBranch(cluster.name, branch, ports)
    const served = sourcesOf(branch, all).flatMap((source) => servedBy(source))
    if (!own.claim) {
      for (const { key, commit } of served)
        firstSeen[key] = before.firstSeen?.[key] ?? { commit, at: ports.clock.now() }
    }
    for (const { key, commit } of served) if (before.declined?.[key] === commit) declined[key] = commit
    const moved = latestMove(served, own, firstSeen, ports.clock.now())
    if (!moved || own.busy) continue
    const others = await branchElsewhere(cluster.name, branch, ports)
    if (others.some(({ busy }) => busy)) continue
    const asked = await peopleAsked(branch, moved.commit, ports)
    if (asked === 'waits') continue
    const knowing = others.filter((other) => knows(other, moved.commit))
    if (asked === 'declined' || declined[moved.key] === moved.commit) {
      declined[moved.key] = moved.commit
      found.push(declinedPush(moved))
    } else if (knowing.length > 0) found.push(...unordered(moved, knowing))
    else {
      const push = pushOf(branch, moved, { states: [own, ...others], firstSeen })
      if (!push) continue
      pushes.push(push)
      found.push(lostPush(moved, push))
    }
  }
  return { pushes, found, firstSeen, declined }
}

/** What a source serves that nobody has suspended. */
interface Served {
  readonly key: string
  readonly commit: string
  readonly movedAt: number
}

function servedBy({ key, suspended, revision, revisedAt = 0 }: Source): Served[] {
  const commit = commitOf(revision)
  return suspended || commit === undefined ? [] : [{ key, commit, movedAt: revisedAt }]
}

/** Of several sources the one that moved last: the others follow when they are asked to fetch. */
function latestMove(served: readonly Served[], own: BranchState, firstSeen: FirstSeen, now: number) {
  return served
    .filter(({ key, commit, movedAt }) => {
      if (movedAt > now - patienceMs || knows(own, commit) || lagsBehind(own, commit)) return false
      return firstSeen[key]?.commit !== commit
    })
    .sort((a, b) => b.movedAt - a.movedAt)[0]
}

/** The branch in the other clusters that follow it. Rejects with LedgerUnavailable. */
export async function branchElsewhere(cluster: string, branch: Branch, ports: BranchPorts): Promise<BranchState[]> {
  const others = ports.fleet.clusters.filter(
    ({ name, repositories }) => name !== cluster && repositories.includes(branch.repository.name),
  )
  const states: BranchState[] = []
  await each(others, width, async ({ name }) => {
    states.push(await readBranch(name, branch, ports))
  })
  return states
}

interface Known {
  readonly states: readonly BranchState[]
  readonly firstSeen: FirstSeen
}

/** Right after the newest push that any cluster knows. Undefined where the source moved before that was pushed: it lags behind. */
function pushOf(branch: Branch, { key, commit, movedAt }: Served, { states, firstSeen }: Known): Push | undefined {
  const claimed = states.flatMap(({ claim }) => claim?.newest ?? [])
  const newest = claimed.sort((a, b) => b.pushedAt - a.pushedAt)[0]
  if (newest && movedAt + clocksDifferMs < newest.pushedAt) return undefined
  const began = firstSeen[key]
  return foundPush({
    ...branch,
    before: newest?.after ?? began?.commit ?? noCommit,
    after: commit,
    pushedAt: (newest?.pushedAt ?? began?.at ?? 0) + 1,
    because: [newest?.after ?? '', String(newest?.pushedAt ?? '')],
  })
}

/** Git's name for none: the push made the branch. */
const noCommit = '0'.repeat(40)

function lostPush({ key, commit }: Served, { repository, delivery }: Push): Found {
  return {
    ...{ kind: 'lost-push', object: key, about: commit },
    text: `${key} serves ${shortCommit(commit)}, and no webhook told of it. It is rolled out now, by execution ${delivery}.`,
    next: `Look at the webhook's recent deliveries in the settings of ${repository.name} on ${repository.host}.`,
  }
}

/** The same words for as long as it is so, although the ledger forgets who was asked. */
function declinedPush({ key, commit }: Served): Found {
  return {
    ...{ kind: 'unordered', object: key, about: commit },
    text: `${key} serves ${shortCommit(commit)}, and people did not agree to roll that out here: Flux applies it without an order.`,
    next: 'Push a commit that takes it back; or one that people are asked about anew, an empty one will do.',
  }
}

/** Flux fetches by itself, whether or not the cluster's wave has come. */
function unordered({ key, commit }: Served, knowing: readonly BranchState[]): Found[] {
  const bad = knowing.find(({ newest }) => newest?.outcome !== undefined && newest.outcome !== 'succeeded')
  if (!bad) return []
  return [
    {
      ...{ kind: 'unordered', object: key, about: commit },
      text: `${key} serves ${shortCommit(commit)}, whose rollout ended as ${bad.newest?.outcome} in ${bad.cluster} before its turn came here: Flux applies it without an order.`,
      next: `Mend what failed in ${bad.cluster}: the rollout goes on when that is Ready. Or push a commit that takes it back.`,
    },
  ]
}
