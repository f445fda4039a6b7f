import { LockstepError } from '../lib/errors.ts'
import { requestedAt } from '../lib/flux/annotations.ts'
import { condition } from '../lib/flux/object.ts'
import { commitOf, shortCommit } from '../lib/flux/revision.ts'
import { parseSource, type Source } from '../lib/flux/source.ts'
import { told } from '../lib/flux/told.ts'
import type { Cluster, ObjectRef } from '../lib/kubernetes/cluster.ts'
import type { Ledger } from '../lib/ledger/ledger.ts'
import type { Wish } from '../lib/rollout/lease.ts'
import { note, type Rollout } from '../lib/rollout/rollout.ts'
import { type WhileClaimedPorts, whileClaimed } from '../lib/rollout/while-claimed.ts'

/** A person has suspended the source: nothing of the push can reach the cluster. */
export class SourceSuspended extends LockstepError {
  constructor(source: string) {
    super(
      'SourceSuspended',
      `${source} is suspended.`,
      'Resume it (flux resume source git …); its next push rolls out.',
    )
  }
}

/** The source did not serve the pushed commit, or a newer one, in time. */
export class SourceNotFetched extends LockstepError {
  constructor(source: string, commit: string, said: string) {
    super(
      'SourceNotFetched',
      `${source} has not fetched ${shortCommit(commit)} in time. It says: ${said}.`,
      'Check its URL, its credentials and source-controller, then push again or redeliver the webhook.',
    )
  }
}

/** First pause before a source that serves an older commit is asked again; it doubles up to the longest. */
const askAgainMs = 2_000
const longestPauseMs = 30_000

/**
 * Asks the rollout's sources to fetch and waits until each serves the pushed commit, or a newer one: what a source
 * serves once it has handled our request is the branch's head, unless it is a commit that is known to be older.
 * Updates `rollout` (sources, commit). Answers what others want meanwhile; `go on` when all are fetched.
 * Throws SourceSuspended, SourceNotFetched, ClaimLost, ClusterError.
 */
export async function fetchSources(
  rollout: Rollout,
  ports: WhileClaimedPorts & { readonly deadlineMs: number },
): Promise<Wish> {
  const fetching = new Map<string, Fetching>()
  const older = await olderCommits(rollout, ports.ledger)
  const deadline = ports.clock.now() + ports.deadlineMs
  const fetched = await whileClaimed(rollout, ['GitRepository'], ports, async (now, view) => {
    const sources = readSources(rollout, view.objects('GitRepository'))
    const waiting = sources.filter((source) => !isFetched(rollout, source, fetching.get(source.key), older))
    const [slow] = waiting
    if (!slow) {
      settle(rollout, sources)
      return { done: 'go on' as const }
    }
    for (const source of waiting) await ask(rollout, source, fetching, ports.cluster, now)
    if (now >= deadline) throw new SourceNotFetched(slow.key, rollout.push.after, said(slow))
    return { until: Math.min(deadline, ...waiting.map(({ key }) => fetching.get(key)?.askAgainAt ?? deadline)) }
  })
  return 'wish' in fetched ? fetched.wish : fetched.done
}

/** Commits that come before the push: where it began, and what earlier rollouts of the cluster have rolled out. */
async function olderCommits(rollout: Rollout, ledger: Ledger): Promise<Set<string>> {
  const earlier = await ledger.listRollouts(rollout.cluster, 50)
  const done = earlier.filter(({ id, outcome }) => id !== rollout.id && outcome !== undefined)
  return new Set([rollout.push.before, ...done.flatMap(({ commit }) => commit ?? [])])
}

interface Fetching {
  /** Handled before we asked for the first time. */
  readonly handledBefore: string | undefined
  readonly token: string
  readonly asked: number
  readonly askAgainAt: number
}

function readSources(rollout: Rollout, objects: ReadonlyMap<string, unknown>): Source[] {
  return rollout.sources.map(({ key }) => {
    const raw = objects.get(key.slice(key.indexOf('/') + 1))
    if (raw === undefined) throw new SourceNotFetched(key, rollout.push.after, 'it has been deleted')
    const source = parseSource('GitRepository', raw)
    if (source.suspended) throw new SourceSuspended(key)
    return source
  })
}

/** How often a source must answer with a commit that it served before, until that is taken for the branch's head. */
const sameAnswers = 4

/**
 * A source that serves the pushed commit is done. Any other commit counts once our request, or another writer's that
 * replaced it, has been handled, and unless it comes before the push: Git servers answer from replicas that lag behind
 * their own webhooks. What the source served before we asked is suspicious, and counts only when it stays.
 */
function isFetched(
  rollout: Rollout,
  source: Source,
  fetching: Fetching | undefined,
  older: ReadonlySet<string>,
): boolean {
  const commit = commitOf(source.revision)
  if (commit === undefined) return false
  if (commit === rollout.push.after) return true
  if (!fetching || older.has(commit)) return false
  const before = rollout.sources.find(({ key }) => key === source.key)?.before
  if (commit === before && fetching.asked < sameAnswers) return false
  const handled = source.handled === fetching.token || isReplaced(source, fetching)
  return handled && condition(source.conditions, 'Ready')?.status === 'True'
}

function isReplaced(source: Source, fetching: Fetching): boolean {
  return (
    source.requested !== fetching.token &&
    source.handled === source.requested &&
    source.handled !== fetching.handledBefore
  )
}

async function ask(
  rollout: Rollout,
  source: Source,
  fetching: Map<string, Fetching>,
  cluster: Cluster,
  now: number,
): Promise<void> {
  const previous = fetching.get(source.key)
  if (previous && now < previous.askAgainAt) return
  const asked = (previous?.asked ?? 0) + 1
  const token = `${new Date(now).toISOString()}/${rollout.id}/fetch-${asked}`
  const pause = Math.min(longestPauseMs, askAgainMs * 2 ** (asked - 1))
  fetching.set(source.key, {
    handledBefore: previous?.handledBefore ?? source.handled,
    token,
    asked,
    askAgainAt: now + pause,
  })
  const ref: ObjectRef = { kind: 'GitRepository', namespace: source.namespace, name: source.name }
  await cluster.patch(ref, { type: 'merge', body: { metadata: { annotations: { [requestedAt]: token } } } })
}

/** Writes down what is served, and takes it as what is rolled out. */
function settle(rollout: Rollout, sources: readonly Source[]): void {
  const served = sources.flatMap((source) => commitOf(source.revision) ?? [])
  rollout.sources = rollout.sources.map((planned) => {
    const commit = commitOf(sources.find((source) => source.key === planned.key)?.revision)
    return commit ? { ...planned, served: commit } : planned
  })
  const newer = served.find((commit) => commit !== rollout.push.after)
  rollout.commit = newer ?? rollout.push.after
  if (newer === undefined) return
  note(
    rollout,
    `The source already serves ${shortCommit(newer)}, which is newer than the pushed ${shortCommit(rollout.push.after)}: that is what is rolled out.`,
  )
}

function said(source: Source): string {
  const ready = condition(source.conditions, 'Ready')
  return ready ? told(ready) : 'nothing yet'
}
