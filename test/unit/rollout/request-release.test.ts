import { expect, it } from 'vitest'
import type { Claim } from '../../../functions/lib/ledger/ledger.ts'
import type { Push } from '../../../functions/lib/push.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import { NothingToRelease, ReleaseBusy, requestRelease } from '../../../functions/lib/rollout/request-release.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { head } from '../../fixtures/raw-objects.ts'

const push: Push = {
  repository: { name: 'my-org/fleet-infra', host: 'github.com' },
  branch: 'main',
  before: head('a'),
  after: head('b'),
  pushedAt: 1,
  pusher: 'ana',
  delivery: '00000000-0000-4000-8000-000000000000',
}
const rollout = { id: 'r1', cluster: 'staging', push }
const clock = { now: () => 5_000, after: () => () => {} }

async function ledgerWith(holder: string | undefined, more: Partial<Claim> = {}): Promise<MemoryLedger> {
  const ledger = new MemoryLedger()
  const claimant = { execution: '', before: push.before, after: push.after, pushedAt: 1 }
  const claim = { cluster: 'staging', branch: branchOf(push), version: 1, leaseUntil: 9_000, ...more }
  await ledger.writeClaim(holder === undefined ? claim : { ...claim, holder: { rollout: holder, ...claimant } })
  return ledger
}

const claimOf = (ledger: MemoryLedger) => ledger.readClaim('staging', branchOf(push))

it('asks the holder to let go, and changes nothing else of the claim', async () => {
  const ledger = await ledgerWith('r1')
  const before = await claimOf(ledger)
  await requestRelease(rollout, 'ana', { ledger, clock })
  expect(await claimOf(ledger)).toEqual({ ...before, version: 2, release: { by: 'ana', at: 5_000 } })
})

it('leaves the first request as it is', async () => {
  const ledger = await ledgerWith('r1', { release: { by: 'ben', at: 1 } })
  await requestRelease(rollout, 'ana', { ledger, clock })
  expect(await claimOf(ledger)).toMatchObject({ version: 1, release: { by: 'ben' } })
})

it('refuses when another rollout holds the branch, or none', async () => {
  for (const holder of ['r2', undefined]) {
    const ledger = await ledgerWith(holder)
    await expect(requestRelease(rollout, 'ana', { ledger, clock })).rejects.toThrow(NothingToRelease)
    expect((await claimOf(ledger))?.release).toBeUndefined()
  }
  await expect(requestRelease(rollout, 'ana', { ledger: new MemoryLedger(), clock })).rejects.toThrow(NothingToRelease)
})

it('tries again when somebody else has written meanwhile, and keeps what they wrote', async () => {
  const ledger = await ledgerWith('r1')
  const write = ledger.writeClaim.bind(ledger)
  let rivals = 1
  ledger.writeClaim = async (claim) => {
    if (rivals-- > 0) await write({ ...claim, release: undefined, leaseUntil: 12_000 })
    return write(claim)
  }
  await requestRelease(rollout, 'ana', { ledger, clock })
  expect(await claimOf(ledger)).toMatchObject({ version: 3, leaseUntil: 12_000, release: { by: 'ana' } })
})

it('gives up when every write is lost', async () => {
  const ledger = await ledgerWith('r1')
  ledger.writeClaim = async () => false
  await expect(requestRelease(rollout, 'ana', { ledger, clock })).rejects.toThrow(ReleaseBusy)
})
