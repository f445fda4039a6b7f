import type { Clock } from '../../functions/lib/clock.ts'
import { ClusterError, type Kind } from '../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import { type Snapshot, takeSnapshot } from '../../functions/lib/rollout/snapshot.ts'
import { readPermissions, readUnlockPermissions } from './permissions.ts'
import { judge, type Verdict } from './requirements.ts'
import { type Groups, type Survey, surveyCluster } from './survey.ts'

export interface InspectOptions {
  readonly client: KubernetesClient
  readonly clock: Clock
  /** Takes a line for the person who waits, where it takes long. */
  readonly say: (line: string) => void
  /** Whose permissions are looked at: default those of the client. */
  readonly groups?: Groups
}

const progressAfterMs = 1_000

/**
 * What a cluster has of what Lockstep needs, and what of it is missing. Changes nothing. Throws ClusterError where the
 * cluster does not answer or does not know the credentials, NotAnApiServer, and MayNotAskForGroups.
 */
export async function inspect(options: InspectOptions): Promise<{ survey: Survey; verdict: Verdict }> {
  const { client, clock, say, groups } = options
  const { name, connection } = client
  const progress = () => say(`Waiting for cluster ${name} (${connection.server}) to tell what it has …`)
  const cancel = clock.after(progressAfterMs, progress)
  try {
    const permissions = { permissions: readPermissions(), unlockPermissions: readUnlockPermissions() }
    const survey = await surveyCluster(connection, { ...permissions, ...(groups && { groups }) })
    return { survey, verdict: judge(survey, await kindsNeeded(client, survey)) }
  } finally {
    cancel()
  }
}

/** Without the right to list, none. */
async function workloadsOf(client: KubernetesClient): Promise<Snapshot['workloads']> {
  try {
    return (await takeSnapshot(client)).workloads
  } catch (error) {
    if (error instanceof ClusterError && error.name === 'ClusterForbidden') return new Map()
    throw error
  }
}

/** Objects that depend on an object of a kind that is not served. */
async function kindsNeeded(client: KubernetesClient, survey: Survey): Promise<Map<Kind, string[]>> {
  const needed = new Map<Kind, string[]>()
  const isComplete = Object.values(survey.kinds).every((versions) => versions.length > 0)
  if (isComplete) return needed
  const workloads = await workloadsOf(client)
  for (const { key, dependsOn } of workloads.values()) {
    for (const dependency of dependsOn) {
      const kind = dependency.key.split('/', 1)[0] as Kind
      if (survey.kinds[kind].length > 0) continue
      needed.set(kind, [...(needed.get(kind) ?? []), `${key} depends on ${dependency.key}`])
    }
  }
  return needed
}
