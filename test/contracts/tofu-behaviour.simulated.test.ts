import { SimulatedTofuDriver } from './simulated-tofu-driver.ts'
import { tofuBehaviourContract } from './tofu-behaviour.contract.ts'
import { tofuLocalRunnerContract } from './tofu-local-runner.contract.ts'
import { tofuLocalRunnerVerdictsContract } from './tofu-verdicts.contract.ts'

tofuBehaviourContract('simulated', async () => new SimulatedTofuDriver().start())
const withLocalRunner = async () => new SimulatedTofuDriver({ localRunner: true }).start()
tofuLocalRunnerContract('simulated', withLocalRunner)
tofuLocalRunnerVerdictsContract('simulated', withLocalRunner)
