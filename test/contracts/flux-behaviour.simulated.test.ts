import { fluxBehaviourContract } from './flux-behaviour.contract.ts'
import { SimulatedDriver } from './simulated-driver.ts'

fluxBehaviourContract('simulated', async () => new SimulatedDriver().start())
