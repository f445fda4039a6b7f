import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClaimBusy, claimBranch, Superseded } from '../../../functions/claim/claim.ts'
import { sleep } from '../../../functions/lib/clock.ts'
import type { Cluster } from '../../../functions/lib/kubernetes/cluster.ts'
import type { Claimant } from '../../../functions/lib/ledger/ledger.ts'
import type { Push } from '../../../functions/lib/push.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import { checkClaim } from '../../../functions/lib/rollout/lease.ts'
import { releaseBranch } from '../../../functions/release/release.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { push } from '../../fixtures/raw-objects.ts'
import { begunRollout } from '../../fixtures/snapshot-of.ts'

const commit = (index: number) => index.toString(16).padStart(40, '0')

/** A push in a line of pushes, when its webhook arrives, how often, and how long its rollout takes. */
interface Arrival {
  readonly second: number
  readonly arrivesAt: number
  readonly works: number
}

const arrivals = fc.array(
  fc.record({
    // Several pushes may share a second: GitHub's time does not tell them apart.
    second: fc.nat({ max: 2 }),
    arrivesAt: fc.nat({ max: 20_000 }),
    works: fc.nat({ max: 10_000 }),
  }),
  { minLength: 1, maxLength: 6 },
)

/** No object is ever gated here: the cluster is only asked for its name and for empty lists. */
const emptyCluster = { name: 'staging', list: async () => ({ items: [], resourceVersion: '1' }) } as unknown as Cluster

test('any arrival order of pushes, with duplicates, ends with the newest rolled out and the claim free', async () => {
  await fc.assert(
    fc.asyncProperty(arrivals, fc.array(fc.nat()), async (drawn, again) => {
      const clock = new VirtualClock()
      try {
        const seconds = drawn.map(({ second }) => second).sort()
        const pushes = drawn.map((_, index) =>
          push({
            before: commit(index),
            after: commit(index + 1),
            pushedAt: 1_767_600_000_000 + (seconds[index] ?? 0) * 1_000,
            delivery: String(index),
          }),
        )
        const world = new World(clock)
        const duplicates = again.map((index) => index % drawn.length)
        const deliveries = [...drawn.keys(), ...duplicates].map((index) =>
          world.deliver(pushes[index] as Push, drawn[index] as Arrival),
        )
        // All pushes have been made before the first webhook arrives: the branch's head is the last of them.
        world.head = commit(drawn.length)
        await Promise.all(deliveries)
        expect(world.served).toBe(world.head)
        const claim = await world.ledger.readClaim('staging', branchOf(pushes[0] as Push))
        expect(claim).toMatchObject({ leaseUntil: 0 })
        expect(claim?.holder).toBeUndefined()
        expect(world.most).toBe(1)
      } finally {
        clock.stop()
      }
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('a push that arrives after a newer one was rolled out is superseded', async () => {
  const clock = new VirtualClock()
  const world = new World(clock)
  const newer = push({ before: commit(1), after: commit(2), pushedAt: 2_000, delivery: '2' })
  const older = push({ before: commit(0), after: commit(1), pushedAt: 1_000, delivery: '1' })
  await world.deliver(newer, { second: 0, arrivesAt: 0, works: 0 })
  await world.deliver(older, { second: 0, arrivesAt: 0, works: 0 })
  expect(world.ends).toEqual(['rolled out', 'superseded'])
  clock.stop()
})

test('a holder that died is taken over when its lease has run out', async () => {
  const clock = new VirtualClock()
  const ledger = new MemoryLedger()
  const claim = (delivery: string, pushedAt: number, patienceMs: number) => {
    const pushed = push({ after: commit(pushedAt), before: commit(0), pushedAt, delivery })
    return claimBranch(
      { cluster: 'staging', push: pushed, claimant: claimantOf(pushed), patienceMs },
      { ledger, clock },
    )
  }
  await claim('1', 1_000, 0)
  await expect(claim('2', 2_000, 60_000)).rejects.toThrow(ClaimBusy)
  await claim('2', 2_000, 16 * 60_000)
  expect((await ledger.listClaims('staging'))[0]?.holder?.pushedAt).toBe(2_000)
  clock.stop()
})

function claimantOf(pushed: Push): Claimant {
  const { before, after, pushedAt, delivery } = pushed
  return { rollout: `${delivery}.staging`, execution: 'arn', before, after, pushedAt }
}

/** One cluster and one branch, and rollouts that claim, fetch, work and let go. */
class World {
  readonly ledger = new MemoryLedger()
  readonly ends: string[] = []
  head = commit(0)
  served = commit(0)
  most = 0
  private working = 0
  private readonly started = new Set<string>()
  private readonly clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  /** As Step Functions does it: one execution for all deliveries of the same id. */
  async deliver(pushed: Push, { arrivesAt, works }: Arrival): Promise<void> {
    await sleep(this.clock, arrivesAt)
    if (this.started.has(pushed.delivery)) return
    this.started.add(pushed.delivery)
    this.ends.push(await this.rollOut(pushed, works))
  }

  private async rollOut(pushed: Push, works: number): Promise<string> {
    const { ledger, clock } = this
    const claimant = claimantOf(pushed)
    const rollout = begunRollout({ id: claimant.rollout, push: pushed })
    try {
      await claimBranch({ cluster: 'staging', push: pushed, claimant, patienceMs: 300_000 }, { ledger, clock })
    } catch (error) {
      if (error instanceof Superseded) return 'superseded'
      throw error
    }
    this.most = Math.max(this.most, ++this.working)
    this.served = this.head
    let end = 'rolled out'
    for (const until = clock.now() + works; clock.now() < until && end === 'rolled out'; ) {
      await sleep(clock, 500)
      if ((await checkClaim(rollout, { ledger, clock })) !== 'go on') end = 'stopped'
    }
    this.working--
    const branch = branchOf(pushed)
    await releaseBranch({ rollout: rollout.id, branch }, { cluster: emptyCluster, ledger, clock })
    return end
  }
}
