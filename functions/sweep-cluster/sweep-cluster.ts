import type { FleetCluster } from '../lib/fleet.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import { ClusterLook } from '../lib/locks/evidence/cluster-look.ts'
import { whyFailed } from '../lib/locks/scan/lock-access.ts'
import { SecretStateReader } from '../lib/locks/states/secret-state-reader.ts'
import type { Push } from '../lib/push.ts'
import type { LockPorts } from '../lib/step.ts'
import { setByHand } from '../lib/sweep/by-hand.ts'
import { driftOf } from '../lib/sweep/drift.ts'
import type { Found } from '../lib/sweep/finding.ts'
import { findingEvent } from '../lib/sweep/finding-event.ts'
import { followUps } from '../lib/sweep/follow-up.ts'
import { gatesLeft } from '../lib/sweep/gates-left.ts'
import { lostPushes } from '../lib/sweep/lost-push.ts'
import { retellStatuses } from '../lib/sweep/retell-statuses.ts'
import { stateFindings } from '../lib/sweep/states.ts'
import { stuckObjects } from '../lib/sweep/stuck.ts'
import { afterTelling, nextRecord, type SweepRecord } from '../lib/sweep/sweep-record.ts'
import { sweepObjects } from '../lib/sweep/swept-cluster.ts'
import { restoreLeftovers } from './leftovers.ts'

/** What a sweep has come to. */
export interface Swept {
  /** Pushes whose rollouts are to be started, each under the name of its delivery. */
  readonly pushes: readonly Push[]
  readonly findings: number
  /** Findings that were told: new ones, changed ones, and ends. */
  readonly told: number
  /** Rollouts that had left something behind. */
  readonly restored: number
}

/**
 * Looks a cluster through for what no event told of. What it finds is written down before it is told, so that each finding
 * is told once until it changes; what could not be told is told by the next sweep. Of two sweeps at once one writes, and
 * both ask for the same rollouts. Throws ClusterError, GatesLeft, LedgerUnavailable and RolloutMoved: then all is as it was.
 * `execution` is the ARN of the sweep's.
 */
export async function sweepCluster(cluster: FleetCluster, execution: string, ports: LockPorts): Promise<Swept> {
  const { ledger, log, metrics } = ports
  const previous = await ledger.readSweep(cluster.name)
  const connected = await ports.clusters.connect(cluster.name)
  const restored = await restoreLeftovers(cluster, ports)
  const { sight, pushes } = await look(cluster, connected, previous, ports)
  const record = nextRecord(cluster.name, previous, sight)
  const told = (await ledger.writeSweep(record)) ? await tellChanges(record, execution, ports) : 0
  await retellStatuses(cluster, ports)
  const findings = record.findings.length + record.more
  metrics.sweep({ cluster: cluster.name, findings: sight.found, pushes: pushes.length })
  log.info('swept', { cluster: cluster.name, findings, told, restored, pushes: pushes.length })
  return { pushes, findings, told, restored }
}

async function look(cluster: FleetCluster, connected: Cluster, previous: SweepRecord | undefined, ports: LockPorts) {
  const { fleet, ledger, clock, locks } = ports
  const swept = await sweepObjects(connected)
  const now = clock.now()
  const workloads = [...swept.workloads.values()]
  const lost = await lostPushes(cluster, swept.sources.values(), previous ?? {}, ports)
  const mended = await followUps(cluster, swept, ports)
  const stuck = stuckObjects(swept, {
    ...{ fleet, now, unready: previous?.unready ?? {} },
    locks: {
      observations: await ledger.listObservations(cluster.name),
      report: await ledger.readScan(cluster.name),
    },
  })
  const terraforms = workloads.filter(({ workload }) => workload.kind === 'Terraform').map(({ raw }) => raw)
  const states = await stateFindings(terraforms, {
    ...{ cluster: cluster.name, region: cluster.region, endpoints: locks.endpoints, buckets: locks.states },
    secrets: new SecretStateReader(connected),
    readConfiguration: new ClusterLook({ cluster: connected, clock }).readConfiguration,
    largestState: fleet.sweep.largestState,
  })
  const found: Found[] = [
    ...swept.unreadable,
    ...lost.found,
    ...workloads.flatMap((each) => [...driftOf(each, now), ...setByHand(each)]),
    ...stuck.found,
    ...states,
    ...gatesLeft(workloads, await ledger.listClaims(cluster.name)),
  ]
  const { firstSeen, declined } = lost
  return { sight: { at: now, found, firstSeen, declined, unready: stuck.unready }, pushes: [...lost.pushes, ...mended] }
}

/** In the order in which they happened, until one is not taken: the next sweep goes on there. Answers how many were told. */
async function tellChanges(
  record: SweepRecord,
  execution: string,
  { events, ledger, log, metrics }: LockPorts,
): Promise<number> {
  let told = 0
  for (const change of record.untold) {
    const event = findingEvent(change, execution)
    try {
      await events.publish(event)
      told++
    } catch (error) {
      log.warn('a finding was not told', { cluster: record.cluster, finding: event.finding, why: whyFailed(error) })
      metrics.untold(event.type)
      break
    }
  }
  // Where another sweep was faster it tells these again, under the same ids.
  if (told > 0) await ledger.writeSweep(afterTelling(record, told))
  return told
}
