import type { KubernetesObject } from '../../kubernetes/object-store.ts'
import type { VirtualProcess } from '../node/virtual-process.ts'
import { RunnerServer } from './runner-server.ts'
import type { VirtualNetwork } from './virtual-network.ts'
import { type TofuWorld, VirtualTofu } from './virtual-tofu.ts'

/** The runner program in a runner pod, until somebody kills it. */
export function runnerProcess(world: TofuWorld, network: VirtualNetwork, pod: KubernetesObject): VirtualProcess {
  const killed = new AbortController()
  const server = new RunnerServer((request) => new VirtualTofu(world, request, pod.metadata.name, killed.signal))
  const { runnerStart, runnerCreationTimeout } = world.durations
  const lost = world.faults.takeLostRunner(terraformOf(pod))
  let address: string | undefined
  return {
    // A pod that finds no node in time gets one when nobody waits for it any more.
    startMs: lost ? runnerCreationTimeout + runnerStart : runnerStart,
    ready: (ip) => {
      address = ip
      network.attach(ip, server)
    },
    terminate: () => server.terminate(),
    kill: () => {
      killed.abort()
      if (address !== undefined) network.detach(address)
    },
    ended: new Promise(() => {}),
  }
}

/** The key of the Terraform that a runner pod works for. */
function terraformOf({ metadata }: KubernetesObject): string {
  const owners = metadata.ownerReferences as { name: string }[] | undefined
  return `Terraform/${metadata.namespace}/${owners?.[0]?.name}`
}
