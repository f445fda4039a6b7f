import { afterAll, beforeAll, inject, vi } from 'vitest'
import { tofuLocksContract } from '../contracts/tofu-locks.contract.ts'
import { tofuPlansContract } from '../contracts/tofu-plans.contract.ts'
import { tofuReconcileContract } from '../contracts/tofu-reconcile.contract.ts'
import { tofuRunnersContract } from '../contracts/tofu-runners.contract.ts'
import { tofuVerdictsContract } from '../contracts/tofu-verdicts.contract.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { clusterOfSuite } from './suite-cluster.ts'
import { briskDeployment, RealTofuDriver } from './tofu/real-tofu-driver.ts'

vi.setConfig({ maxConcurrency: 12 })

const tofu = inject('tofuController')
let cluster: RunningCluster

beforeAll(async () => {
  cluster = await clusterOfSuite({ tofuDeployment: briskDeployment })
})

afterAll(() => cluster?.stop())

const setup = () => RealTofuDriver.start(cluster)
const name = tofu.kind === 'real' ? 'the real one' : 'simulated, with the real OpenTofu'
tofuReconcileContract(name, setup, { concurrent: true })
tofuPlansContract(name, setup, { concurrent: true })
tofuLocksContract(name, setup, { concurrent: true })
tofuRunnersContract(name, setup, { concurrent: true })
tofuVerdictsContract(name, setup, { concurrent: true })
