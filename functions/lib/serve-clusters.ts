import { clustersFromEnvironment } from './clusters-from-environment.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type ClusterPorts, type Invocation, type Step } from './step.ts'

/** Lambda ends a function after 15 minutes; what is left is for the slice's last requests. */
const sliceMs = 10 * 60_000

/**
 * Makes a Lambda handler of a step that talks to clusters, as `serve` does for the others. It stands by itself because
 * the Kubernetes client is most of a bundle's size and of its start. Environment: that of `serve`, and CLUSTER_ROLE_ARN.
 */
export function serveClusters<Input, Output>(step: Step<Input, Output, ClusterPorts>): Invocation {
  let ports: ClusterPorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = portsFromEnvironment(step.name)
      ports = { ...base, clusters: clustersFromEnvironment(base, step.name), sliceMs }
    }
    return ports
  })
}
