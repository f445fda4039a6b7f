import type { Follows } from '../lib/flux/readiness.ts'
import { repositoryOf, type Source } from '../lib/flux/source.ts'
import type { Workload } from '../lib/flux/workload.ts'
import type { Push } from '../lib/push.ts'
import type { Branch } from '../lib/rollout/branch.ts'

/** The GitRepositories of a cluster that follow a branch, such as the one that was pushed to. */
export function sourcesOf({ repository, branch }: Branch, sources: Iterable<Source>): Source[] {
  const followed = `${repository.host}/${repository.name}`.toLowerCase()
  return [...sources].filter(
    (source) => source.kind === 'GitRepository' && source.branch === branch && repositoryOf(source.url) === followed,
  )
}

export interface Feed {
  readonly source: Source
  readonly follows: Follows
}

/**
 * Everything that serves content of the pushed sources: the sources themselves, HelmCharts that are built from them,
 * and OCI artifacts that carry the repository as their origin (as `flux push artifact --source` writes it).
 */
export function feedsOf(push: Push, pushed: readonly Source[], sources: Iterable<Source>): Map<string, Feed> {
  const repository = `${push.repository.host}/${push.repository.name}`.toLowerCase()
  const feeds = new Map<string, Feed>(pushed.map((source) => [source.key, { source, follows: 'revision' }]))
  const charts: Source[] = []
  for (const source of sources) {
    if (source.kind === 'HelmChart') charts.push(source)
    if (source.kind !== 'OCIRepository' || source.origin.source === undefined) continue
    if (repositoryOf(source.origin.source) === repository) feeds.set(source.key, { source, follows: 'origin' })
  }
  for (const chart of charts) {
    const from = chart.from && feeds.get(`${chart.from.kind}/${chart.from.namespace}/${chart.from.name}`)
    if (from) feeds.set(chart.key, { source: chart, follows: 'chart' })
  }
  return feeds
}

/**
 * The objects that the push can change: those on its feeds, and those that such a Kustomization applies, however
 * deep. Each with what must be seen on it before it counts as ready.
 */
export function affectedBy(feeds: ReadonlyMap<string, Feed>, workloads: Iterable<Workload>): Map<string, Follows> {
  const affected = new Map<string, Follows>()
  const owned = new Map<string, Workload[]>()
  const queue: Workload[] = []
  for (const workload of workloads) {
    const feed = feeds.get(workload.source ?? '')
    if (feed) {
      affected.set(workload.key, feed.follows)
      queue.push(workload)
    }
    if (workload.owner === undefined) continue
    const siblings = owned.get(workload.owner)
    if (siblings) siblings.push(workload)
    else owned.set(workload.owner, [workload])
  }
  for (let owner = queue.pop(); owner; owner = queue.pop()) {
    for (const workload of owned.get(owner.key) ?? []) {
      if (affected.has(workload.key)) continue
      affected.set(workload.key, 'generation')
      queue.push(workload)
    }
  }
  return affected
}

/**
 * Objects that the push does not change but that have to be judged, because an affected object waits for them:
 * direct dependencies of affected objects, and whatever lies on a path between two affected ones.
 */
export function judgedFor(affected: ReadonlySet<string>, workloads: ReadonlyMap<string, Workload>): Set<string> {
  const downstream = dependentsOf(affected, workloads)
  const judged = new Set<string>()
  // Iterating a Set visits what is added on the way.
  const visit = new Set(affected)
  for (const key of visit) {
    for (const { key: before } of workloads.get(key)?.dependsOn ?? []) {
      if (affected.has(before) || !workloads.has(before)) continue
      if (!affected.has(key) && !downstream.has(before)) continue
      judged.add(before)
      visit.add(before)
    }
  }
  return judged
}

/** All that depends on one of `keys`, directly or not. */
function dependentsOf(keys: ReadonlySet<string>, workloads: ReadonlyMap<string, Workload>): Set<string> {
  const dependents = new Map<string, string[]>()
  for (const workload of workloads.values()) {
    for (const { key } of workload.dependsOn) {
      const known = dependents.get(key)
      if (known) known.push(workload.key)
      else dependents.set(key, [workload.key])
    }
  }
  const found = new Set<string>()
  const visit = new Set(keys)
  for (const key of visit) {
    for (const dependent of dependents.get(key) ?? []) {
      found.add(dependent)
      visit.add(dependent)
    }
  }
  return found
}
