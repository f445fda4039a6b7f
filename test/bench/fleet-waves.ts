import { statesEntered } from '../../infra/local/states/history.ts'
import { configMap, layered, roots } from '../integration/layered-fleet.ts'
import { World } from '../integration/world.ts'
import { clusterNames, FleetMachine, fleetOfWaves, largestState } from '../unit/statemachines/fleet-machine.ts'
import type { Measurement } from './measurement.ts'

const clusterCount = 500
const mostCpuMs = 50
const mostStateBytes = 65_536

/**
 * What Lockstep itself does for each cluster of a large wave, on top of the cluster's own rollout: the fleet's state
 * machine, its steps and its files, by the CPU time of this process. A rollout is a function that answers at once.
 */
export async function measureFleetWaves(): Promise<readonly Measurement[]> {
  const names = clusterNames(clusterCount)
  // A first one, so that what is measured is not the compilation of the code.
  await runWave(clusterNames(50))
  const { cpuMs, seconds, stateBytes, transitions } = await runWave(names)
  const perCluster = cpuMs / clusterCount
  return [
    {
      what: `orchestration of ${clusterCount} clusters in one wave, CPU time a cluster`,
      target: `${mostCpuMs} ms`,
      measured: `${perCluster.toFixed(1)} ms (${cpuMs.toFixed(0)} ms in all, ${seconds.toFixed(1)} s)`,
      ok: perCluster <= mostCpuMs,
      values: { cpuPerClusterMs: perCluster, cpuMs, clusters: clusterCount, transitions },
    },
    {
      what: `largest state of the fleet's execution, ${clusterCount} clusters of which all fail`,
      target: '64 KiB',
      measured: `${(stateBytes / 1024).toFixed(1)} KiB`,
      ok: stateBytes < mostStateBytes,
      values: { stateBytes },
    },
    await measureSimulatedFleet(),
  ]
}

/** The whole of it: a simulated cluster behind each rollout, with real HTTP between all parts, in one process. */
async function measureSimulatedFleet(): Promise<Measurement> {
  const clusters = clusterNames(clusterCount).map((name) => ({
    ...{ name, eks: name, region: 'us-east-1', environment: 'staging' },
  }))
  const files = { 'root/all.yaml': [layered.app], 'app/config.yaml': [configMap('app', { version: '1' })] }
  const world = await World.start(roots, files, { clusters })
  const before = process.cpuUsage()
  const from = performance.now()
  const pushed = world.change()
  await world.deliver(pushed)
  await world.until('the end of the fleet', () => {
    const found = world.host.interpreter.list({ machine: 'fleet' }).find(({ name }) => name === pushed.delivery)
    return found !== undefined && found.status !== 'RUNNING'
  })
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - from) / 1_000
  const rollouts = world.host.interpreter.list({ machine: 'rollout' })
  const succeeded = rollouts.filter(({ status }) => status === 'SUCCEEDED').length
  const cpuPerClusterMs = (user + system) / 1_000 / clusterCount
  const memoryMiB = process.memoryUsage().rss / 1_048_576
  await world.close()
  return {
    what: `a push to ${clusterCount} simulated clusters in one wave, their controllers and API servers included`,
    target: 'all',
    measured: `${succeeded} rolled out in ${seconds.toFixed(0)} s, ${cpuPerClusterMs.toFixed(0)} ms of CPU each, ${memoryMiB.toFixed(0)} MiB`,
    ok: succeeded === clusterCount,
    values: { succeeded, seconds, cpuPerClusterMs, memoryMiB },
  }
}

async function runWave(names: readonly string[]) {
  const machine = await FleetMachine.start({
    fleet: fleetOfWaves([names]),
    rollout: async () => {
      throw new Error('this cluster fails, which leaves more to tell')
    },
  })
  const before = process.cpuUsage()
  const from = performance.now()
  const end = await machine.push()
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - from) / 1_000
  const executions = machine.interpreter.list()
  const transitions = executions.reduce((sum, execution) => sum + execution.transitions, 0)
  await machine.close()
  if (end.started.length !== names.length) throw new Error(`only ${end.started.length} rollouts were started`)
  if (!statesEntered(end.history).includes('RolloutLargeWave')) throw new Error('the wave did not count as a large one')
  return { cpuMs: (user + system) / 1_000, seconds, stateBytes: largestState(end.history), transitions }
}
