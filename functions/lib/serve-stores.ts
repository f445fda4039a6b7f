import { fleetLocks } from './fleet-locks.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type Invocation, type Step, type StorePorts } from './step.ts'

/** Makes a Lambda handler of a step that looks at the fleet's lock tables and buckets, and at no cluster. Environment: that of `serve`. */
export function serveStores<Input, Output>(step: Step<Input, Output, StorePorts>): Invocation {
  let ports: StorePorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = portsFromEnvironment(step.name)
      ports = { ...base, locks: fleetLocks(base.fleet) }
    }
    return ports
  })
}
