import { afterAll, beforeAll, inject, vi } from 'vitest'
import { fluxBehaviourContract } from '../contracts/flux-behaviour.contract.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { RealDriver } from './real-driver.ts'

// Longer than a driver waits: what it waited for is in its error.
vi.setConfig({ testTimeout: 300_000 })

let cluster: RunningCluster

beforeAll(async () => {
  // So that the Kustomizations of one test that wait for health do not keep those of another from running.
  cluster = await startCluster({ upstream: inject('upstream'), fluxConcurrency: 40 })
})

afterAll(() => cluster?.stop())

fluxBehaviourContract('the real controllers', () => RealDriver.start(cluster), { concurrent: true })
