import { afterAll, beforeAll, inject, vi } from 'vitest'
import { tofuManagerContract } from '../contracts/tofu-manager.contract.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { briskDeployment, RealTofuDriver } from './tofu/real-tofu-driver.ts'

vi.setConfig({ testTimeout: 300_000 })

const tofu = inject('tofuController')
let cluster: RunningCluster

beforeAll(async () => {
  cluster = await startCluster({ upstream: inject('upstream'), tofu, tofuDeployment: briskDeployment })
})

afterAll(() => cluster?.stop())

tofuManagerContract(tofu.kind === 'real' ? 'the real one' : 'simulated, with the real OpenTofu', () =>
  RealTofuDriver.start(cluster),
)
