import { LockstepError } from '../../functions/lib/errors.ts'
import { type InspectOptions, inspect } from './inspect.ts'
import type { Survey } from './survey.ts'

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

/**
 * Looks whether a cluster has what Lockstep needs: the CRDs, versions, and everything that rbac.yaml grants; and says
 * what it will leave out where unlock/rbac.yaml was not applied. Changes nothing. Throws ClusterUnsuitable with all that
 * is missing, and ClusterError where the cluster does not answer or does not know the credentials.
 */
export async function preflight(options: InspectOptions): Promise<Survey> {
  const { survey, verdict } = await inspect(options)
  if (verdict.problems.length > 0) throw new ClusterUnsuitable(survey, verdict.problems)
  const { warnings, noUnlocks } = verdict
  for (const warning of [...warnings, ...(noUnlocks ? [noUnlocks] : [])])
    options.say(`warning: ${survey.cluster}: ${warning}`)
  return survey
}
