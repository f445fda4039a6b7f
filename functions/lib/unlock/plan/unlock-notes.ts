import type { Applier } from './cluster-now.ts'
import type { UnlockCase } from './unlock-case.ts'

/** What a person should know beside the steps. `stops`: the controller is stopped. */
export function notesOf(given: UnlockCase, stops: boolean): string[] {
  return [...(stops ? controllerNotes(given) : []), ...objectNotes(given)]
}

function controllerNotes({ controller, autoscalers, hanging }: UnlockCase): string[] {
  const { key, replicas, pods, appliers } = controller
  const scalers = 'value' in autoscalers ? autoscalers.value : []
  return [
    ...(appliers.length > 0
      ? []
      : [`Flux applies nothing that owns ${key}. Whoever scales it up meanwhile ends the unlock before its delete.`]),
    ...appliers.flatMap(suspendedNote),
    ...scalers.map((scaler) => `${scaler.key} does nothing while there are 0 replicas, and goes on afterwards.`),
    ...('unknown' in autoscalers
      ? [`Whether something scales ${key} by itself could not be read: ${autoscalers.unknown}`]
      : []),
    ...(replicas === 0 && pods.length > 0 ? [`${key} is at 0 replicas already, and stays there.`] : []),
    ...hanging.map((run) => `${run.key} hangs as well. Its lock is one of a dead holder, too: unlock it next.`),
  ]
}

function objectNotes({ terraform, controller, object }: UnlockCase): string[] {
  const { suspended, gate, deleting, approvePlan, pendingPlan } = terraform
  const isManual = approvePlan !== 'auto' && approvePlan !== 'disable'
  return [
    ...(suspended
      ? [
          `${object} is suspended${gate === undefined ? '' : ' by a rollout'}, and stays so: it plans afresh when it is resumed.`,
        ]
      : []),
    ...(!suspended && controller.replicas === 0
      ? ['tofu-controller does not run, and is not started: the object plans afresh when it is.']
      : []),
    ...(deleting ? [`${object} is being deleted: without its lock the deletion goes on.`] : []),
    ...(pendingPlan !== '' && isManual ? ['The plan that waits for an approval is dropped, and made anew.'] : []),
    ...(isManual && approvePlan !== ''
      ? ['spec.approvePlan names a plan: a fresh one of the same revision has that name too, and counts as approved.']
      : []),
    ...(suspended ? [] : terraform.appliers.flatMap(suspendedNote)),
  ]
}

function suspendedNote({ key, suspended, gate }: Applier): string[] {
  if (!suspended) return []
  return [`${key} is suspended${gate === undefined ? '' : ' by a rollout'} already, and stays so.`]
}
