import { type ObjectRef, refKey } from '../../functions/lib/kubernetes/cluster.ts'
import { SimulatedDriver } from './simulated-driver.ts'
import { type TofuDriver, tofuBehaviourContract } from './tofu-behaviour.contract.ts'

class SimulatedTofuDriver extends SimulatedDriver implements TofuDriver {
  private readonly unchanged: Set<string>

  constructor() {
    const unchanged = new Set<string>()
    super({ planChanges: (_key, revision) => !unchanged.has(revision) })
    this.unchanged = unchanged
  }

  async pushWithoutChanges(): Promise<string> {
    const revision = await this.push()
    this.unchanged.add(revision)
    return revision
  }

  async breakApply(ref: ObjectRef): Promise<void> {
    this.simulation.faults.fail(refKey(ref), { reason: 'TFExecApplyFailed' })
  }

  async mend(ref: ObjectRef): Promise<void> {
    this.simulation.faults.clear(refKey(ref))
  }

  async restartController(): Promise<void> {
    this.simulation.stopController('tofu')
    this.simulation.startController('tofu')
  }
}

tofuBehaviourContract('simulated', async () => new SimulatedTofuDriver().start())
