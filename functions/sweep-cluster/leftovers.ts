import type { FleetCluster } from '../lib/fleet.ts'
import type { Claim } from '../lib/ledger/ledger.ts'
import { leaseMs } from '../lib/rollout/lease.ts'
import type { ClusterPorts } from '../lib/step.ts'
import { restoreRollout } from '../restore/restore.ts'

type LeftoverPorts = Omit<ClusterPorts, 'sliceMs'>

/** For so long a rollout that has been reported may still be at its release, in milliseconds. */
const releaseMs = 5 * 60_000

/**
 * Puts back what rollouts of a cluster left behind of whose end nobody told, and those that were handed a claim at the
 * moment at which they ended: what has an outcome, and holds or awaits a claim; and what has not renewed its lease for twice
 * as long as that lasts. Others take over a claim after one lease, but they come with a push. Answers how many there were.
 * Throws ClusterError, GatesLeft, LedgerUnavailable and RolloutMoved.
 */
export async function restoreLeftovers({ name }: FleetCluster, ports: LeftoverPorts): Promise<number> {
  let restored = 0
  for (const claim of await ports.ledger.listClaims(name)) {
    for (const rollout of await overIn(claim, ports)) {
      const cause = 'its execution has ended, and nobody told of it'
      const released = await restoreRollout({ rollout, error: 'ExecutionLost', cause }, ports)
      ports.log.warn('put back what a rollout had left', { cluster: name, rollout, ...released })
      restored++
    }
  }
  return restored
}

/** The rollouts of a claim that are over. */
async function overIn({ holder, next, leaseUntil }: Claim, { ledger, clock }: LeftoverPorts): Promise<string[]> {
  const now = clock.now()
  const over: string[] = []
  for (const rollout of [next?.rollout, holder?.rollout]) {
    if (rollout === undefined) continue
    const stored = await ledger.readRollout(rollout)
    const endedAt = stored?.value.outcome === undefined ? undefined : (stored.value.endedAt ?? 0)
    const isSilent = rollout === holder?.rollout && now > leaseUntil + leaseMs
    if (endedAt === undefined ? isSilent : now > endedAt + releaseMs) over.push(rollout)
  }
  return over
}
