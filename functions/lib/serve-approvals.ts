import { clustersFromEnvironment } from './clusters-from-environment.ts'
import { askPortsFromEnvironment } from './serve-asking.ts'
import { type ApprovalPorts, bindStep, type Invocation, type Step } from './step.ts'

/** Lambda ends a function after 15 minutes; what is left is for the slice's last requests. */
const sliceMs = 10 * 60_000

/**
 * Makes a Lambda handler of a step that asks people about something in a cluster. Environment: that of `serveClusters`, and of
 * `serveAsking`.
 */
export function serveApprovals<Input, Output>(step: Step<Input, Output, ApprovalPorts>): Invocation {
  let ports: ApprovalPorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = askPortsFromEnvironment(step.name)
      ports = { ...base, clusters: clustersFromEnvironment(base, step.name), sliceMs }
    }
    return ports
  })
}
