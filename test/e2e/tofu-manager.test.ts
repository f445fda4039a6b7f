import { afterAll, beforeAll, describe, inject } from 'vitest'
import { tofuLocalRunnerContract } from '../contracts/tofu-local-runner.contract.ts'
import { tofuManagerContract } from '../contracts/tofu-manager.contract.ts'
import { tofuLocalRunnerVerdictsContract, tofuManagerVerdictsContract } from '../contracts/tofu-verdicts.contract.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { clusterOfSuite } from './suite-cluster.ts'
import { briskDeployment, RealTofuDriver, withLocalRunner } from './tofu/real-tofu-driver.ts'

const tofu = inject('tofuController')
const name = tofu.kind === 'real' ? 'the real one' : 'simulated, with the real OpenTofu'
let cluster: RunningCluster

beforeAll(async () => {
  cluster = await clusterOfSuite({ tofuDeployment: briskDeployment })
})

afterAll(() => cluster?.stop())

const setup = () => RealTofuDriver.start(cluster)
tofuManagerContract(name, setup)
tofuManagerVerdictsContract(name, setup)

describe('without runner pods', () => {
  beforeAll(() => withLocalRunner(cluster))

  tofuLocalRunnerContract(name, setup)
  tofuLocalRunnerVerdictsContract(name, setup)
})
