import { formatDuration } from '../../../functions/lib/duration.ts'
import type { Fleet } from '../../../functions/lib/fleet.ts'
import { builtinResources } from '../kubernetes/builtin-resources.ts'
import type { ObjectStore } from '../kubernetes/object-store.ts'
import { tofuDeployment } from '../simulation/tofu/tofu-deployment.ts'

/** Milliseconds of whoever watches, up to six times real time: nobody sits through the hour after which a lock is old. */
const lookEvery = 2_000
const oldAfter = 3_000
const quietAfter = 6_000
const stopsWithin = 5_000

/** The fleet as it is shown: locks are old, and quiet, within seconds of a simulation that runs `speed` times as fast. */
export function shownFleet(fleet: Fleet, speed: number): Fleet {
  const pace = paceOf(speed)
  const minimumAge = { plan: oldAfter * pace, apply: oldAfter * pace }
  return { ...fleet, locks: { ...fleet.locks, every: lookEvery * pace, quietWindow: quietAfter * pace, minimumAge } }
}

/** For people: what is not as in the fleet's file. */
export function paceText({ locks }: Fleet, speed: number): string {
  const [age, quiet, stop] = [locks.minimumAge.apply, locks.quietWindow, stopMs(speed)].map(formatDuration)
  return `For this demo a lock is old after ${age}, quiet after ${quiet}, and tofu-controller stops within ${stop}, not as in cdk.json and in its chart.`
}

/** tofu-controller as it is installed, but for how long it waits for a run that hangs. To be called before it starts. */
export function installQuickController(store: ObjectStore, speed: number): void {
  const deployment = tofuDeployment()
  const args: string[] = deployment.spec?.template.spec.containers[0].args
  args.push(`--graceful-shutdown-timeout=${stopMs(speed) / 1_000}s`)
  store.create(builtinResources.Deployment, deployment, 'helm-controller')
}

/** Whole seconds, and never longer than usual. */
function stopMs(speed: number): number {
  return Math.min(Math.ceil((stopsWithin * paceOf(speed)) / 1_000) * 1_000, 4 * 60_000)
}

/** Where time runs faster it is over sooner, as far as this machine can look at locks so often. */
function paceOf(speed: number): number {
  return Math.max(Math.min(speed, 6), speed * 0.3)
}
