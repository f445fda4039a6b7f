import { clustersFromEnvironment } from './clusters-from-environment.ts'
import { fleetLocks } from './fleet-locks.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type Invocation, type LockPorts, type Step } from './step.ts'

/** Lambda ends a function after 15 minutes; what is left is for the slice's last requests. */
const sliceMs = 10 * 60_000

/**
 * Makes a Lambda handler of a step that looks at locks of clusters' objects, as `serveClusters` does for those that talk to
 * clusters alone.
 */
export function serveLocks<Input, Output>(step: Step<Input, Output, LockPorts>): Invocation {
  let ports: LockPorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = portsFromEnvironment(step.name)
      ports = { ...base, clusters: clustersFromEnvironment(base, step.name), sliceMs, locks: fleetLocks(base.fleet) }
    }
    return ports
  })
}
