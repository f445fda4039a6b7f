import { SimulatedTofuDriver } from './simulated-tofu-driver.ts'
import { tofuBehaviourContract } from './tofu-behaviour.contract.ts'
import { tofuLocalRunnerContract } from './tofu-local-runner.contract.ts'

tofuBehaviourContract('simulated', async () => new SimulatedTofuDriver().start())
tofuLocalRunnerContract('simulated', async () => new SimulatedTofuDriver({ localRunner: true }).start())
