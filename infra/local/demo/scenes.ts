import type { Clock } from '../../../functions/lib/clock.ts'
import { sleep } from '../../../functions/lib/clock.ts'
import type { Fleet } from '../../../functions/lib/fleet.ts'
import { requestRelease } from '../../../functions/lib/rollout/request-release.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { duration } from '../display/terminal-text.ts'
import type { Host } from '../host.ts'
import type { KubernetesObject } from '../kubernetes/object-store.ts'
import { simulatedKinds } from '../simulation/kinds.ts'
import type { ClusterSimulation } from '../simulation/simulation.ts'
import type { PushView } from '../views/push-view.ts'

export interface ScenesOptions {
  readonly host: Host
  readonly fleet: Fleet
  /** Where something goes wrong. */
  readonly cluster: { readonly name: string; readonly simulation: ClusterSimulation }
  readonly clock: Clock
  readonly speed: number
  readonly say: (line: string) => void
  /** Delivers the next push. Answers the name of its execution. */
  readonly pushNext: () => Promise<string>
  /** Resolves when a push is through. */
  readonly concluded: (delivery: string) => Promise<PushView>
  /** Who asks for the unlock that is refused. */
  readonly person: string
  /** Ends the scenes where they are. */
  readonly signal: AbortSignal
}

const dead = 'Terraform/flux-system/database'
const slow = 'Terraform/flux-system/vpc'

/** How long an apply has been going on when its runner is killed, in milliseconds. */
const intoTheApply = 1_000

/** How often is looked whether a rollout holds its gates, in milliseconds. */
const heldLookMs = 1_000

/**
 * What Lockstep is for, to be watched: a runner is killed in the middle of an apply, and its rollout comes through; then
 * somebody asks for the unlock of an apply that is only slow, and is refused; and what fails in one cluster does not
 * reach those that come after it.
 */
export async function playScenes(options: ScenesOptions): Promise<void> {
  for (const scene of [killedRunner, liveHolder, stoppedWave]) {
    if (options.signal.aborted) return
    await scene(options)
  }
  if (!options.signal.aborted) options.say('That was the demo. It goes on serving until Ctrl-C.')
}

async function killedRunner({ host, cluster, clock, speed, say, pushNext, concluded }: ScenesOptions): Promise<void> {
  const { name, simulation } = cluster
  say(`Scene 1: the runner of ${dead} in ${name} is killed in the middle of an apply, during a rollout.`)
  let stale = Number.NaN
  let ready = Number.NaN
  const endEvents = host.events.onLock(({ verdict, object, cluster }) => {
    if (verdict === 'stale' && object === dead && cluster === name) stale = clock.now()
  })
  simulation.faults.hang(dead)
  const delivery = await pushNext()
  await untilReady(simulation, dead, isApplying)
  await sleep(clock, intoTheApply)
  simulation.killRunner(dead, 'fail')
  simulation.faults.release(dead)
  say(`The runner is dead. ${dead} says "Applying", and would for ever.`)
  void untilReady(simulation, dead, ({ status }) => status === 'True').then(() => {
    ready = clock.now()
  })
  await concluded(delivery)
  endEvents()
  const took = ready - stale
  const yours = speed === 1 ? '' : ` of simulated time, ${duration(took / speed)} of yours`
  if (took >= 0) say(`From the verdict "stale" to Ready: ${duration(took)}${yours}.`)
}

async function liveHolder(options: ScenesOptions): Promise<void> {
  const { host, fleet, cluster, clock, say, pushNext, concluded, person } = options
  const { name, simulation } = cluster
  say(`Scene 2: the apply of ${slow} in ${name} takes long, and ${person} asks for the unlock of its state.`)
  simulation.faults.hang(slow)
  const delivery = await pushNext()
  await untilReady(simulation, slow, isApplying)
  // Older than any lock must be, and looked at since.
  await sleep(clock, fleet.locks.minimumAge.apply + 2 * fleet.locks.every)
  const observations = await host.ledger.listObservations(name)
  const place = observations.find(({ evidence }) => evidence.owner?.object === slow)
  if (place) {
    const asked = { key: place.key, requestedBy: person, reason: 'It takes too long.' }
    const { unlock } = await host.unlockRoutes.unlockRuns.start(asked)
    await ended(host, unlock)
    // So that this is read first.
    await sleep(clock, fleet.locks.every)
  }
  simulation.faults.release(slow)
  say(`The apply of ${slow} goes on, and ends by itself.`)
  await concluded(delivery)
}

async function stoppedWave(options: ScenesOptions): Promise<void> {
  const { host, fleet, cluster, clock, say, pushNext, concluded, person } = options
  const { name, simulation } = cluster
  const later = fleet.clusters.filter(({ after }) => after.includes(name)).map((each) => each.name)
  if (later.length === 0) return
  say(`Scene 3: the apply of ${slow} fails in ${name}. ${later.join(', ')} must not get that push.`)
  simulation.faults.fail(slow, { reason: 'TFExecApplyFailed', message: 'quota exceeded' })
  const delivery = await pushNext()
  const held = await untilHeld(options, `${delivery}.${name}`)
  if (held) {
    say(`Layers behind ${slow} are held until it recovers. ${person} has another plan, and releases the gates.`)
    await requestRelease(held, person, { ledger: host.ledger, clock })
  }
  await concluded(delivery)
  simulation.faults.clear(slow)
}

/** The rollout once its gates are held behind a failure; undefined when it ends before. */
async function untilHeld({ host, clock, signal }: ScenesOptions, id: string): Promise<Rollout | undefined> {
  while (!signal.aborted) {
    const rollout = (await host.ledger.readRollout(id))?.value
    if (rollout?.outcome !== undefined) return undefined
    if (rollout?.heldSince !== undefined) return rollout
    await sleep(clock, heldLookMs)
  }
  return undefined
}

function ended({ events }: Host, unlock: string): Promise<void> {
  return new Promise((resolve) => {
    const end = events.onUnlock((event) => {
      if (event.unlock !== unlock || event.what === 'asked' || event.what === 'restored') return
      end()
      resolve()
    })
  })
}

interface Ready {
  readonly status: string
  readonly message: string
}

const isApplying = ({ message }: Ready) => message === 'Applying'

/** Resolves when the condition Ready of a Terraform object has changed to something like this. */
function untilReady({ store }: ClusterSimulation, key: string, like: (ready: Ready) => boolean): Promise<void> {
  const [, namespace, name] = key.split('/')
  const isIt = ({ metadata }: KubernetesObject) => metadata.namespace === namespace && metadata.name === name
  return new Promise((resolve) => {
    const end = store.subscribe(simulatedKinds.Terraform, ({ object }) => {
      const conditions: (Ready & { type: string })[] = object.status?.conditions ?? []
      const ready = conditions.find(({ type }) => type === 'Ready')
      if (!isIt(object) || !ready || !like(ready)) return
      end()
      resolve()
    })
  })
}
