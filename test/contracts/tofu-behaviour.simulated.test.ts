import { SimulatedTofuDriver } from './simulated-tofu-driver.ts'
import { tofuBehaviourContract } from './tofu-behaviour.contract.ts'

tofuBehaviourContract('simulated', async () => new SimulatedTofuDriver().start())
