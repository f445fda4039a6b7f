import { tofuLocksContract } from './tofu-locks.contract.ts'
import { tofuManagerContract } from './tofu-manager.contract.ts'
import { tofuPlansContract } from './tofu-plans.contract.ts'
import { tofuReconcileContract } from './tofu-reconcile.contract.ts'
import { tofuRunnersContract } from './tofu-runners.contract.ts'
import type { SetupTofu } from './tofu-test.ts'
import { tofuManagerVerdictsContract, tofuVerdictsContract } from './tofu-verdicts.contract.ts'

/**
 * What Lockstep depends on in tofu-controller. `setup` answers an empty namespace of a running cluster, a new one for
 * each test. The parts can be run by themselves, side by side where waiting takes real time.
 */
export function tofuBehaviourContract(name: string, setup: SetupTofu): void {
  tofuReconcileContract(name, setup)
  tofuPlansContract(name, setup)
  tofuLocksContract(name, setup)
  tofuRunnersContract(name, setup)
  tofuManagerContract(name, setup)
  tofuVerdictsContract(name, setup)
  tofuManagerVerdictsContract(name, setup)
}
