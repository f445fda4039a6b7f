import type { Workload } from '../flux/workload.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Intent } from '../unlock/hold/intent.ts'

/** What a guarded unlock holds in one cluster. It comes back by itself, and no person has decided on it. */
export class UnlockHolds {
  private readonly ledger: Pick<Ledger, 'readUnlock'>
  private readonly cluster: string
  private intent: Intent | undefined

  constructor(ledger: Pick<Ledger, 'readUnlock'>, cluster: string) {
    this.ledger = ledger
    this.cluster = cluster
  }

  /**
   * Whether an unlock has suspended the object, and nobody else. To be asked after the object was read: what an unlock
   * suspends is in the ledger before it does, and until after it has resumed it. Rejects with LedgerUnavailable.
   */
  async holds(workload: Workload): Promise<boolean> {
    if (!workload.suspended || workload.gate !== undefined || !workload.suspendedByUsOnly) return false
    if (suspends(this.intent, workload)) return true
    this.intent = (await this.ledger.readUnlock(this.cluster))?.intent
    return suspends(this.intent, workload)
  }

  /** Keys of those among the objects that an unlock holds. Rejects with LedgerUnavailable. */
  async among(workloads: Iterable<Workload>): Promise<ReadonlySet<string>> {
    const held = new Set<string>()
    for (const workload of workloads) if (await this.holds(workload)) held.add(workload.key)
    return held
  }
}

function suspends(intent: Intent | undefined, { key, uid }: Workload): boolean {
  return (
    intent?.changes.some((change) => change.field === 'suspend' && isOf(change, key) && change.uid === uid) ?? false
  )
}

/**
 * Whether an object has to stay closed for as long as this unlock is under way: it holds it behind a rollout's gate, or has
 * tofu-controller stopped, which would interrupt a run that begins now.
 */
export function keepsClosed(intent: Intent | undefined, key: string): boolean {
  const stops = intent?.changes.some(({ field }) => field === 'replicas') ?? false
  return (stops && key.startsWith('Terraform/')) || (intent?.changes.some((change) => isOf(change, key)) ?? false)
}

function isOf(change: Intent['changes'][number], key: string): boolean {
  return change.object === key
}
