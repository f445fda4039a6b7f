import { requestedAt, unlockAnnotation } from '../../flux/annotations.ts'
import { oneLine } from '../../locks/evidence/one-line.ts'
import type { Fence } from '../run/unlock-run.ts'
import type { Applier, TerraformNow } from './cluster-now.ts'
import type { Rung } from './rung.ts'
import type { UnlockCase } from './unlock-case.ts'
import type { FieldValue, UnlockStep } from './unlock-step.ts'

/** What API servers and kubelets may take on top of a grace, in milliseconds. */
const marginMs = 60_000

/** How long the controller is given to come back, or to answer a request, in milliseconds. */
const answerMs = 5 * 60_000

/** What an unlock holds by this rung: keys of objects to suspend, in that order. Nothing that is suspended already. */
export function holdsOf(rung: Rung, given: UnlockCase): string[] {
  if (rung === 'controller-assisted') return []
  const { own, others, appliers } = holdsIn(given, rung === 'quiesce')
  return [...appliers.toReversed(), ...(own === undefined ? [] : [own]), ...others]
}

/** How long its waits may take, in milliseconds, and what is waited for. */
export function fenceOf({
  object,
  hangs,
  hanging,
  isSuspect,
  runner,
  terraform,
  controller,
  ...given
}: UnlockCase): Fence {
  return {
    hanging: [...(hangs ? [object] : []), ...hanging.map(({ key }) => key)],
    ...(isSuspect && runner && { awaited: { key: runner.key, uid: runner.uid } }),
    drainMs: given.drainMs,
    stopMs: controller.graceMs + marginMs,
    runnerMs: terraform.runnerGraceMs + marginMs,
    planMs: given.planMs,
  }
}

/** Everything that an unlock does by this rung, in its order. */
export function stepsOf(rung: Rung, given: UnlockCase): UnlockStep[] {
  const steps = rung === 'controller-assisted' ? assisted(given) : fenced(given, rung)
  return [...intent(given, 'written'), ...steps, ...intent(given, 'removed'), ...verification(given)]
}

/** tofu-controller releases the lock itself. */
function assisted(given: UnlockCase): UnlockStep[] {
  const { terraform, lock } = given
  const { key, forceUnlock = null, lockIdentifier = null } = terraform
  const tfstate = (field: string, from: FieldValue, to: FieldValue, why: string) =>
    from === to ? [] : [change(key, `spec.tfstate.${field}`, from, to, why)]
  const asItWas = 'what is left there breaks later runs'
  return [
    ...judgedAgain,
    keptState,
    ...freshPlan(terraform),
    ...tfstate('lockIdentifier', lockIdentifier, lock.id, 'this very lock, and no other'),
    ...tfstate('forceUnlock', forceUnlock, 'yes', 'the controller releases the lock before its next run'),
    request(key),
    wait('tofu-controller to release the lock, and StateLocked to go', 0, answerMs),
    ...tfstate('forceUnlock', 'yes', forceUnlock, asItWas),
    ...tfstate('lockIdentifier', lock.id, lockIdentifier, asItWas),
  ]
}

/** Lockstep deletes the lock, once nothing can run the object. */
function fenced(given: UnlockCase, rung: 'targeted' | 'quiesce'): UnlockStep[] {
  const { terraform } = given
  const stops = rung === 'quiesce'
  const { own, others, appliers } = holdsIn(given, stops)
  return [
    ...appliers.toReversed().map((key) => suspend(key, 'it would put back what is changed below')),
    ...(own === undefined ? [] : [suspend(own, 'no new run of it begins')]),
    ...others.map((key) => suspend(key, 'no new run of it begins while the controller is stopped')),
    ...runEnds(given),
    ...(stops ? [...othersEnd(given), ...controllerStops(given)] : []),
    ...runnerEnds(given),
    ...judgedAgain,
    keptState,
    ...lockDeleted(given),
    ...lockForgotten(terraform),
    ...freshPlan(terraform),
    ...(stops ? controllerStarts(given) : []),
    ...others.map((key) => resume(key)),
    ...(own === undefined ? [] : [resume(own), request(own)]),
    ...appliers.map((key) => resume(key)),
  ]
}

/** What is suspended, and resumed in the opposite order. */
function holdsIn({ terraform, controller, others }: UnlockCase, stops: boolean) {
  return {
    // Whoever puts something back is suspended before what it would put back, and resumed after it.
    appliers: heldBy([
      ...(stops ? controller.appliers : []),
      ...(terraform.suspended ? [] : terraform.appliers),
      ...(stops ? others.flatMap(({ suspended, appliers }) => (suspended ? [] : appliers)) : []),
    ]),
    own: terraform.suspended ? undefined : terraform.key,
    // All of them: an apply that begins just before the controller stops would be interrupted by it.
    others: stops ? others.filter(({ suspended }) => !suspended).map(({ key }) => key) : [],
  }
}

/** Those that are not suspended yet, each once, the nearest ones first. */
function heldBy(appliers: readonly Applier[]): string[] {
  // One that comes again further out is suspended before all that it applies.
  const keys = appliers.map(({ key }) => key)
  return appliers.flatMap(({ key, suspended }, at) => (suspended || keys.lastIndexOf(key) > at ? [] : key))
}

/** A run that waits for its runner for ever ends with the controller only. */
function runEnds({ terraform, hangs, controllerRuns, drainMs, isSuspect, runner }: UnlockCase): UnlockStep[] {
  const ends =
    terraform.running && controllerRuns && !hangs ? [wait(`the run of ${terraform.key} to end`, 0, drainMs)] : []
  if (!isSuspect || !runner) return ends
  // It may be applying: it is never deleted, and its end is the proof.
  return [...ends, wait(`${runner.key} (UID ${runner.uid}) to be gone: it may still apply`, 0, drainMs)]
}

function othersEnd({ runs, drainMs }: UnlockCase): UnlockStep[] {
  if (runs.length === 0) return []
  const keys = runs.map(({ key }) => key)
  const named = `${keys.slice(0, 5).join(', ')}${keys.length > 5 ? ` and ${keys.length - 5} more` : ''}`
  return [wait(`the runs of other objects to end (${named}): they are never interrupted`, 0, drainMs)]
}

function controllerStops({ controller, hangs, hanging, controllerRuns }: UnlockCase): UnlockStep[] {
  if (!controllerRuns) return []
  const { key, replicas, graceMs, shutdownMs, pods } = controller
  const isHung = hangs || hanging.length > 0
  const uids = pods.map(({ name, uid }) => `${name} (UID ${uid})`).join(', ') || 'every pod'
  const why = isHung ? ', with the whole graceful shutdown: a run of it hangs' : ''
  return [
    ...(replicas > 0 ? [change(key, 'spec.replicas', replicas, 0, 'its end is what ends its runs')] : []),
    wait(`${uids} of ${key} to be gone${why}`, isHung ? shutdownMs : 0, graceMs + marginMs),
  ]
}

function controllerStarts({ controller }: UnlockCase): UnlockStep[] {
  if (controller.replicas === 0) return []
  const { key, replicas } = controller
  return [
    change(key, 'spec.replicas', 0, replicas, 'as it was'),
    wait(`${replicas} of ${replicas} replicas of ${key} to be ready`, 0, answerMs),
  ]
}

/** A pod that has ended counts as dead. Any other one cannot be told from a working one, but no run can be in it now. */
function runnerEnds({ runner, terraform, isSuspect }: UnlockCase): UnlockStep[] {
  if (!runner || isSuspect || runner.phase === 'Failed' || runner.phase === 'Succeeded') return []
  const { key, uid, deleting } = runner
  const graceMs = terraform.runnerGraceMs
  return [
    ...(deleting ? [] : [change(key, 'pod', `UID ${uid}`, null, 'an idle runner: exactly this one, by its UID')]),
    wait(
      `${key} (UID ${uid}) to be gone: an idle runner takes its whole grace`,
      deleting ? 0 : graceMs,
      graceMs + marginMs,
    ),
  ]
}

/** OpenTofu takes the lock file first and the item of the table second: they go the other way round. */
function lockDeleted({ parts, lock }: UnlockCase): UnlockStep[] {
  const order = ['dynamodb', 'kubernetes', 's3'] as const
  const sorted = parts.toSorted((a, b) => order.indexOf(a.store) - order.indexOf(b.store))
  return sorted.map(({ address }) => change(address, 'lock', lock.id, null, 'only if it is exactly what was judged'))
}

function lockForgotten({ key, pendingLock }: TerraformNow): UnlockStep[] {
  if (pendingLock === '') return []
  const why = 'else a forced unlock of a free lock fails every run'
  return [change(key, 'status.lock.pending', oneLine(pendingLock), '', why)]
}

/** Without it the plan that is stored would be applied, which was made before the lock was broken. */
function freshPlan(terraform: TerraformNow): UnlockStep[] {
  const { key, ready, pendingPlan, lastPlannedRevision, lastAttemptedRevision } = terraform
  const cleared = (field: string, from: string) =>
    from === '' ? [] : [change(key, `status.${field}`, oneLine(from), '', 'the next run plans afresh')]
  return [
    change(key, 'status.conditions[Ready]', ready, 'False ReplanRequested', 'the next run plans afresh'),
    ...cleared('plan.pending', pendingPlan),
    ...cleared('lastPlannedRevision', lastPlannedRevision),
    ...cleared('lastAttemptedRevision', lastAttemptedRevision),
  ]
}

/** Nothing runs an object that stays suspended. */
function verification({ terraform, controller, planMs }: UnlockCase): UnlockStep[] {
  if (terraform.suspended || controller.replicas === 0) return []
  return [
    wait(`the fresh plan of ${terraform.key}`, 0, planMs),
    check('The state goes on: same lineage, no lower serial, and no write by anybody else since the delete.'),
  ]
}

function intent({ controller }: UnlockCase, what: 'written' | 'removed'): UnlockStep[] {
  const field = `metadata.annotations[${unlockAnnotation}]`
  const text = 'what is changed, and how it was'
  if (what === 'removed') return [change(controller.key, field, text, null, 'everything is as it was')]
  return [change(controller.key, field, null, text, 'whoever finds it can put everything back')]
}

const judgedAgain: readonly UnlockStep[] = [
  {
    kind: 'check',
    what: 'The lock is judged again: it goes on only if it is stale, and the very lock that was judged.',
  },
]

const keptState: UnlockStep = { kind: 'check', what: 'The state is backed up, with its version, serial and lineage.' }

function check(what: string): UnlockStep {
  return { kind: 'check', what }
}

function suspend(key: string, why: string): UnlockStep {
  return change(key, 'spec.suspend', false, true, why)
}

function resume(key: string): UnlockStep {
  return change(key, 'spec.suspend', true, false, 'as it was')
}

function request(key: string): UnlockStep {
  return change(key, `metadata.annotations[${requestedAt}]`, 'as it is', 'a new token', 'a run is asked for')
}

function change(object: string, field: string, from: FieldValue, to: FieldValue, why: string): UnlockStep {
  return { kind: 'change', object, field, from, to, why }
}

function wait(what: string, atLeastMs: number, atMostMs: number): UnlockStep {
  return { kind: 'wait', for: what, atLeastMs, atMostMs }
}
