import { expect, test } from 'vitest'
import { claimBranch, RolledOutBefore, Superseded } from '../../../functions/claim/claim.ts'
import type { Claimant } from '../../../functions/lib/ledger/ledger.ts'
import type { Push } from '../../../functions/lib/push.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import { leaseMs } from '../../../functions/lib/rollout/lease.ts'
import type { Outcome } from '../../../functions/lib/rollout/rollout.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { push } from '../../fixtures/raw-objects.ts'
import { begunRollout } from '../../fixtures/snapshot-of.ts'

const told = push({ delivery: '1' })
const found: Push = { ...push({ delivery: '2', before: told.before }), found: true }

/** A branch that `first` has claimed; its rollout has ended so, or goes on. */
async function branchClaimedBy(first: Push, outcome?: Outcome) {
  const clock = new VirtualClock()
  const ledger = new MemoryLedger(clock)
  const claim = async (pushed: Push) => {
    const rollout = `${pushed.delivery}.staging`
    const { before, after, pushedAt } = pushed
    const claimant: Claimant = {
      ...{ rollout, execution: 'arn', before, after, pushedAt },
      ...(pushed.found && { found: pushed.found }),
    }
    await claimBranch({ cluster: 'staging', push: pushed, claimant, patienceMs: 0 }, { ledger, clock })
  }
  await ledger.writeRollout(
    begunRollout({ id: `${first.delivery}.staging`, push: first, ...(outcome && { outcome }) }),
    0,
  )
  await ledger.writeClaim({
    ...{ cluster: 'staging', branch: branchOf(first), version: 1, leaseUntil: outcome ? 0 : clock.now() + leaseMs },
    ...(outcome === undefined && { holder: claimantOf(first) }),
    newest: claimantOf(first),
  })
  return { claim, clock, ledger }
}

function claimantOf({ delivery, before, after, pushedAt, found: isFound }: Push): Claimant {
  const rollout = `${delivery}.staging`
  return { ...{ rollout, execution: 'arn', before, after, pushedAt }, ...(isFound && { found: isFound }) }
}

test.each([
  ['the webhook comes after the sweep has found the push', found, told],
  ['the sweep finds a push whose webhook was under way', told, found],
])('%s: one of the two is rolled out', async (_, first, second) => {
  const atWork = await branchClaimedBy(first)
  await expect(atWork.claim(second)).rejects.toThrow(Superseded)
  const done = await branchClaimedBy(first, 'succeeded')
  await expect(done.claim(second)).rejects.toThrow(RolledOutBefore)
})

test.each(['failed', 'released', 'superseded'] as const)(
  'one that %s is no reason not to roll out',
  async (outcome) => {
    const { claim, ledger } = await branchClaimedBy(told, outcome)
    await claim(found)
    expect((await ledger.readClaim('staging', branchOf(told)))?.holder?.rollout).toBe(`${found.delivery}.staging`)
  },
)

test('nor is one that has died', async () => {
  const { claim, clock, ledger } = await branchClaimedBy(told)
  await new Promise<void>((resolve) => clock.after(leaseMs + 1, resolve))
  await claim(found)
  expect((await ledger.readClaim('staging', branchOf(told)))?.holder?.rollout).toBe(`${found.delivery}.staging`)
})

test('of two webhooks of one commit the later is rolled out: the branch has been elsewhere in between', async () => {
  const { claim, ledger } = await branchClaimedBy(told, 'succeeded')
  await claim(push({ delivery: '3', pushedAt: told.pushedAt + 1_000 }))
  expect((await ledger.readClaim('staging', branchOf(told)))?.holder?.rollout).toContain('0003.staging')
})

test('a push that GitHub told of is never older than one that was found', async () => {
  const { claim, ledger } = await branchClaimedBy({ ...found, pushedAt: told.pushedAt + 1 }, 'succeeded')
  const next = push({ delivery: '3', before: 'c'.repeat(40), after: 'd'.repeat(40), pushedAt: told.pushedAt + 1_000 })
  await claim(next)
  expect((await ledger.readClaim('staging', branchOf(told)))?.newest?.after).toBe(next.after)
})
