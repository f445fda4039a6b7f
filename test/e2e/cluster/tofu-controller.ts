import type { TofuController } from '../upstream/tofu-controller.ts'
import type { Api } from './api.ts'
import { applyCrds } from './crds.ts'
import { Faults } from './faults.ts'
import type { Guardian } from './guardian.ts'
import { type Kubelet, startKubelet } from './kubelet.ts'
import { type RunnerNetwork, startRunnerNetwork } from './runner-network.ts'
import { type DeploymentOptions, tofuDeployment } from './tofu-controller-deployment.ts'
import { tofuPrograms } from './tofu-controller-programs.ts'

export interface TofuControllerOptions {
  readonly controller: TofuController
  readonly api: Api
  readonly guardian: Guardian
  /** File; of a user that may do everything. */
  readonly kubeconfig: string
  /** Path of OpenTofu. */
  readonly tofu: string
  readonly deployment?: DeploymentOptions
  /** What a node gives to every runner besides. */
  readonly runnerEnv?: Readonly<Record<string, string>>
  readonly say?: (line: string) => void
}

/** A tofu-controller that was deployed as on any cluster, and the node that runs its pods as processes. */
export interface RunningTofuController {
  readonly kind: TofuController['kind']
  readonly kubelet: Kubelet
  readonly network: RunnerNetwork
  readonly faults: Faults
  /** Ends the processes. The objects stay in the API. */
  stop(): Promise<void>
}

/**
 * Applies the CRDs and the Deployment, and waits until the controller is ready. Throws what `applyCrds` throws, and
 * ManagerNotReady; nothing is left running then.
 */
export async function startTofuController(options: TofuControllerOptions): Promise<RunningTofuController> {
  const network = await startRunnerNetwork()
  try {
    return await deploy(options, network)
  } catch (error) {
    await network.close()
    throw error
  }
}

async function deploy(options: TofuControllerOptions, network: RunnerNetwork): Promise<RunningTofuController> {
  const { api, controller, guardian, say = () => {} } = options
  const { manager, runner, crds } = await tofuPrograms({
    ...options,
    directory: guardian.directory,
    proxy: network.url,
  })
  await applyCrds(api, crds)
  const kubelet = await startKubelet({ api, guardian, network, say, programs: [manager, runner] })
  const faults = new Faults({ api, kubelet, network })
  try {
    await api.apply(tofuDeployment(options.deployment))
    await faults.managerReady()
  } catch (error) {
    await kubelet.stop()
    throw error
  }
  say(`tofu-controller is ready (${controller.kind})`)
  const stop = async () => {
    await kubelet.stop()
    await network.close()
  }
  return { kind: controller.kind, kubelet, network, faults, stop }
}
