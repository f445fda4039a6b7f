import type { LockPlace } from '../../locks/backends/lock-place.ts'
import { type Evidence, readingOf } from '../../locks/evidence.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import type {
  Autoscaler,
  ClusterNow,
  ControllerNow,
  OtherTerraform,
  Reading,
  RunnerNow,
  TerraformNow,
} from './cluster-now.ts'
import { type Refused, refusal } from './refusal.ts'
import type { Unlockable } from './unlockable.ts'

/** All that a plan follows from. */
export interface UnlockCase extends Unlockable {
  readonly controller: ControllerNow
  readonly terraform: TerraformNow
  readonly place: LockPlace
  readonly runner: RunnerNow | undefined
  /** All other objects that the controller works on. */
  readonly others: readonly OtherTerraform[]
  /** Those of them whose runs go on, and may end. */
  readonly runs: readonly OtherTerraform[]
  /** Those of them whose runs hang as their runners are proven dead. */
  readonly hanging: readonly OtherTerraform[]
  readonly autoscalers: Reading<readonly Autoscaler[]>
  /** tofu-controller works, or may. */
  readonly controllerRuns: boolean
  /** The controller has met this very lock, and says so. */
  readonly isMet: boolean
  /** The controller was asked to release this very lock, and has not. */
  readonly isAssistedInVain: boolean
  /** The run that took the lock waits in the controller for a runner that will not answer. */
  readonly hangs: boolean
  /** There is a state: without one OpenTofu cannot force an unlock. */
  readonly hasState: boolean
  /** How long applies are given to end by themselves, in milliseconds. */
  readonly drainMs: number
  /** How long the fresh plan is given, in milliseconds. */
  readonly planMs: number
}

export interface UnlockCaseOptions {
  readonly now: ClusterNow
  /** Objects of the cluster that hang with locks of dead holders: they are not waited for. */
  readonly ghosts: ReadonlySet<string>
  readonly isAssistedInVain: boolean
  readonly drainMs: number
  readonly planMs: number
}

/** Puts together what follows from what was read; or refuses, as something that is needed could not be read. */
export function caseOf(
  unlockable: Unlockable,
  { evidence }: Observation,
  { now, ghosts, isAssistedInVain, drainMs, planMs }: UnlockCaseOptions,
): UnlockCase | Refused {
  const { object, others, runner, autoscalers } = now
  if ('unknown' in now.controller) return notRead('tofu-controller', now.controller.unknown)
  if ('unknown' in object) return notRead(unlockable.object, object.unknown)
  if ('unknown' in others) return notRead('the other Terraform objects', others.unknown)
  if ('unknown' in runner) return notRead("the runner's pod", runner.unknown)

  const { value: terraform } = object
  const { value: controller } = now.controller
  if (!terraform)
    return refusal('object-gone', [`${unlockable.object} does not exist any more`], 'Look again after the next scan.')
  if (!controller) {
    const why = 'no tofu-controller is there whose Deployment could carry what is changed'
    return refusal('no-controller', [why], 'Release the lock by hand, with tofu force-unlock.')
  }
  const { place } = terraform
  if (!place) return notRead('where the object keeps its state', 'its backend cannot be told')
  const rival = others.value.find(({ sharesState }) => sharesState)
  if (rival) {
    const why = `${rival.key} keeps the same state: it would take the lock as soon as it is gone, with a plan of its own`
    return refusal('shared-state', [why], 'Give each object a state of its own; until then, release the lock by hand.')
  }
  const controllerRuns = controller.replicas > 0 || controller.pods.length > 0
  const isMet = terraform.metLock === unlockable.lock.id
  const running = others.value.filter((each) => each.running)
  const isGhost = ({ key }: OtherTerraform) => ghosts.has(key)
  return {
    ...unlockable,
    ...{ controller, terraform, place, runner: runner.value, autoscalers, controllerRuns, isMet, drainMs, planMs },
    isAssistedInVain,
    others: others.value,
    runs: running.filter((run) => !isGhost(run)),
    hanging: running.filter(isGhost),
    // One that may be alive is waited for, as any other run.
    hangs: !unlockable.isSuspect && controllerRuns && terraform.running && !isMet && wasRunning(evidence),
    hasState: readingOf(evidence.state)?.exists === true,
  }
}

function notRead(what: string, why: string): Refused {
  return refusal('cannot-be-read', [`${what} could not be read: ${why}`], 'Make it readable, then look again.')
}

/** When the lock was judged. A run that has begun since then does not hang. What is not known may have. */
function wasRunning({ object }: Evidence): boolean {
  const found = readingOf(object)
  return !found?.exists || found.reconciling || found.ready === 'Unknown'
}
