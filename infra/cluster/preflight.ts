import type { Clock } from '../../functions/lib/clock.ts'
import { LockstepError } from '../../functions/lib/errors.ts'
import type { Kind } from '../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import { takeSnapshot } from '../../functions/lib/rollout/snapshot.ts'
import { readPermissions, readUnlockPermissions } from './permissions.ts'
import { judge } from './requirements.ts'
import { type Survey, surveyCluster } from './survey.ts'

/** A cluster lacks what Lockstep cannot do without. `problems` has an error for each thing that it lacks. */
export class ClusterUnsuitable extends LockstepError {
  readonly problems: readonly LockstepError[]

  constructor({ cluster, server }: Survey, problems: readonly LockstepError[]) {
    super(
      'ClusterUnsuitable',
      `Lockstep cannot work with cluster ${cluster} (${server}):\n${problems.map(({ message }) => `  ${message}\n`).join('')}`,
      'Then start again.',
    )
    this.problems = problems
  }
}

export interface PreflightOptions {
  readonly client: KubernetesClient
  readonly clock: Clock
  /** Takes a line for the person who waits: progress where it takes long, and what will be left out. */
  readonly say: (line: string) => void
}

const progressAfterMs = 1_000

/**
 * Looks whether a cluster has what Lockstep needs: the CRDs, versions, and everything that rbac.yaml grants; and says
 * what it will leave out where unlock/rbac.yaml was not applied. Changes nothing. Throws ClusterUnsuitable with all that
 * is missing, and ClusterError where the cluster does not answer or does not know the credentials.
 */
export async function preflight({ client, clock, say }: PreflightOptions): Promise<Survey> {
  const { name, connection } = client
  const progress = () => say(`Waiting for cluster ${name} (${connection.server}) to tell what it has …`)
  const cancel = clock.after(progressAfterMs, progress)
  try {
    const permissions = { permissions: readPermissions(), unlockPermissions: readUnlockPermissions() }
    const survey = await surveyCluster(connection, permissions)
    const { problems, warnings } = judge(survey, await kindsNeeded(client, survey))
    if (problems.length > 0) throw new ClusterUnsuitable(survey, problems)
    for (const warning of warnings) say(`warning: ${name}: ${warning}`)
    return survey
  } finally {
    cancel()
  }
}

/** Objects that depend on an object of a kind that is not served. Without the right to list there are none. */
async function kindsNeeded(client: KubernetesClient, survey: Survey): Promise<Map<Kind, string[]>> {
  const needed = new Map<Kind, string[]>()
  const isComplete = Object.values(survey.kinds).every((versions) => versions.length > 0)
  const mayList = survey.permissions.every(({ permission, allowed }) => permission.verb !== 'list' || allowed)
  if (isComplete || !mayList) return needed
  const { workloads } = await takeSnapshot(client)
  for (const { key, dependsOn } of workloads.values()) {
    for (const dependency of dependsOn) {
      const kind = dependency.key.split('/', 1)[0] as Kind
      if (survey.kinds[kind].length > 0) continue
      needed.set(kind, [...(needed.get(kind) ?? []), `${key} depends on ${dependency.key}`])
    }
  }
  return needed
}
