import { beforeEach, describe, expect, test } from 'vitest'
import type { UnlockEvent } from '../../../functions/lib/events.ts'
import { type Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { bindStep, type LockPorts } from '../../../functions/lib/step.ts'
import { makeChange } from '../../../functions/lib/unlock/hold/change.ts'
import { writeOnDeployment } from '../../../functions/lib/unlock/hold/deployment-intent.ts'
import { stragglerMs } from '../../../functions/lib/unlock/hold/restore.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { step } from '../../../functions/unlock-watch/handler.ts'
import { noLocks } from '../../../infra/local/host.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import {
  applier,
  controller,
  database,
  lock,
  parent,
  type Suspendable,
  still,
  suspendable,
  UnlockWorld,
  unlock,
  vpc,
} from '../unlock/unlock-world.ts'

const suspend = { [parent]: null, [applier]: false, [vpc]: null, [database]: true }
const leaseUntil = 200_000

let world: UnlockWorld
let ledger: MemoryLedger
let now: number

beforeEach(() => {
  world = new UnlockWorld({ replicas: 2, tfstate: null, planned: true, met: lock, suspend })
  now = 1_000
  ledger = new MemoryLedger({ ...still, now: () => now })
})

const run: UnlockRun = {
  ...{ unlock, cluster: 'staging', place: '0123456789abcdef', lock, requestedBy: 'ana', reason: 'a test' },
  requestedAt: 1_000,
}

/** An unlock that has taken its turn, and then made all of its changes. */
async function begun({ changes = true } = {}): Promise<void> {
  await ledger.writeUnlockRun(run, 0)
  await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil })
  if (!changes) return
  const intent = world.intent('quiesce')
  await ledger.writeIntent(intent)
  await writeOnDeployment(world.cluster, intent)
  for (const change of intent.changes) await makeChange(world.cluster, change, async () => {})
}

/** Patches that the cluster refuses, by the key of their object. */
const refused = new Set<string>()
const told: UnlockEvent[] = []
/** Whether something was still to be put back, of each look. */
const counted: boolean[] = []

beforeEach(() => {
  refused.clear()
  told.length = 0
  counted.length = 0
})

function watch(input: object): Promise<unknown> {
  const { cluster } = world
  const guarded: Cluster = Object.create(cluster, {
    patch: {
      value: async (...[ref, ...rest]: Parameters<Cluster['patch']>) => {
        const key = `${ref.kind}/${ref.namespace}/${ref.name}`
        if (refused.has(key))
          throw new ClusterError('ClusterForbidden', 'staging', 403, `${key} is refused.`, 'Grant it.')
        return cluster.patch(ref, ...rest)
      },
    },
  })
  const ports = {
    ...{ ledger, clock: { ...still, now: () => now }, log: silentLog, sliceMs: 0, fleet: {} as never },
    clusters: { connect: async () => guarded },
    events: { publish: async (event) => void told.push(event as UnlockEvent) },
    ...{ locks: noLocks, metrics: { ...silentMetrics, restore: ({ pending }) => void counted.push(pending) } },
  } satisfies LockPorts
  return bindStep(step, () => ports)(input)
}

const ended = (name = unlock, more: object = {}) => watch({ detail: { name, status: 'ABORTED', ...more } })
const left = { undone: 0, left: 0 }

function fields() {
  const suspended = suspendable.map((key) => [key, world.get(key)?.spec.suspend ?? null])
  return {
    replicas: world.get(controller)?.spec.replicas,
    suspend: Object.fromEntries(suspended) as Record<Suspendable, unknown>,
  }
}
const before = { replicas: 2, suspend }
const after = { replicas: 0, suspend: { [parent]: true, [applier]: true, [vpc]: true, [database]: true } }

describe('told of the end of an execution', () => {
  test('puts everything back, ends the run and gives the turn back', async () => {
    await begun()
    expect(fields()).toEqual(after)
    now = 2_000
    expect(await ended()).toEqual({ unlock, undone: 5, left: 0 })
    expect(fields()).toEqual(before)
    const why = 'its execution has ended as ABORTED'
    expect((await ledger.readUnlockRun(unlock))?.value).toEqual({ ...run, outcome: 'failed', why, endedAt: 2_000 })
    expect(await ledger.listAudit(unlock)).toContainEqual(
      expect.objectContaining({ what: 'given up', detail: { why } }),
    )
    expect(told).toEqual([
      expect.objectContaining({ id: `${unlock}/restored`, by: 'watch' }),
      expect.objectContaining({ id: `${unlock}/failed`, unlock, what: 'failed', why }),
    ])
  })

  test('has the turn free once nothing of it can arrive any more, but never for itself', async () => {
    const takes = (unlock: string) => ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: now + 9_000 })
    await begun()
    await ended()
    now += stragglerMs - 1
    await watch({ cluster: 'staging' })
    expect(await takes('unlock-2')).toBe(false)
    // What was on its way when it died.
    for (const change of world.intent('targeted').changes) await makeChange(world.cluster, change, async () => {})
    now += 1
    expect(await watch({ cluster: 'staging' })).toEqual({ unlock, undone: 1, left: 0 })
    expect(fields()).toEqual(before)
    expect(await takes(unlock)).toBe(false)
    expect(await takes('unlock-2')).toBe(true)
  })

  test('does nothing the second time', async () => {
    await begun()
    await ended()
    const run = await ledger.readUnlockRun(unlock)
    expect(await ended()).toEqual({ unlock, ...left })
    expect(await ledger.readUnlockRun(unlock)).toEqual(run)
    expect(told.map(({ what }) => what)).toEqual(['restored', 'failed'])
  })

  test('says by which error', async () => {
    await begun()
    await ended(unlock, { status: 'FAILED', error: 'ClusterForbidden', cause: 'what is not kept' })
    const stored = await ledger.readUnlockRun(unlock)
    expect(stored?.value.why).toBe('its execution has ended as FAILED (ClusterForbidden)')
  })

  test('lets the outcome be of one that had ended by itself', async () => {
    const conclusion = { ...run, outcome: 'refused', why: 'the lock changed', endedAt: 1_500 } as const
    await ledger.writeUnlockRun(conclusion, 0)
    expect(await ended(unlock, { status: 'FAILED' })).toEqual(left)
    expect((await ledger.readUnlockRun(unlock))?.value).toEqual(conclusion)
    expect(await ledger.listAudit(unlock)).toEqual([])
  })

  test('gives back the turn of one that had changed nothing yet', async () => {
    await begun({ changes: false })
    expect(await ended()).toEqual(left)
    expect(await ledger.takeUnlock({ cluster: 'staging', unlock: 'unlock-2', leaseUntil: 9_000 })).toBe(true)
  })

  test('knows nothing of one that never wrote itself down', async () => {
    await begun()
    expect(await ended('another')).toEqual(left)
    expect(fields()).toEqual(after)
  })

  test('lets another unlock of the cluster be', async () => {
    await begun()
    await ledger.writeUnlockRun({ ...run, unlock: 'unlock-0' }, 0)
    expect(await ended('unlock-0')).toEqual(left)
    expect(fields()).toEqual(after)
    expect((await ledger.readUnlockRun('unlock-0'))?.value.outcome).toBe('failed')
    expect((await ledger.readUnlockRun(unlock))?.value.outcome).toBeUndefined()
    expect(await ledger.readUnlock('staging')).toMatchObject({ unlock, leaseUntil })
  })

  test('is not done before everything is back', async () => {
    await begun()
    refused.add(applier)
    await expect(ended()).rejects.toMatchObject({
      name: 'UnlockNotRestored',
      message: expect.stringMatching(`Unlock ${unlock} .* cluster staging: ${applier} suspend \\(.*is refused`),
    })
    expect((await ledger.readUnlockRun(unlock))?.value.outcome).toBeUndefined()
    refused.clear()
    expect(await ended()).toEqual({ unlock, undone: 1, left: 0 })
    expect(fields()).toEqual(before)
    expect((await ledger.readUnlockRun(unlock))?.value.outcome).toBe('failed')
  })

  test('takes no other end', async () => {
    await expect(ended(unlock, { status: 'SUCCEEDED' })).rejects.toMatchObject({ name: 'StepInputInvalid' })
  })
})

describe('asked for a cluster', () => {
  const asked = () => watch({ cluster: 'staging' })

  test('lets an unlock be that is alive', async () => {
    await begun()
    now = leaseUntil - 1
    expect(await asked()).toEqual(left)
    expect(fields()).toEqual(after)
  })

  test('lets one be that puts back by itself, and has yet to say how it ended', async () => {
    await begun()
    await ledger.beginRestore('staging', unlock)
    now = leaseUntil - 1
    expect(await asked()).toEqual(left)
    expect((await ledger.readUnlockRun(unlock))?.value.outcome).toBeUndefined()
    now = leaseUntil
    expect(await asked()).toEqual({ unlock, undone: 5, left: 0 })
    expect((await ledger.readUnlockRun(unlock))?.value.outcome).toBe('failed')
  })

  test('puts back what one left whose turn has run out, and ends it', async () => {
    await begun()
    now = leaseUntil
    expect(await asked()).toEqual({ unlock, undone: 5, left: 0 })
    expect(fields()).toEqual(before)
    expect((await ledger.readUnlockRun(unlock))?.value).toMatchObject({ outcome: 'failed', endedAt: leaseUntil })
    now += stragglerMs
    expect(await asked()).toEqual({ unlock, ...left })
    expect(await asked()).toEqual(left)
    expect(told.map(({ what }) => what)).toEqual(['restored', 'failed'])
  })

  test('knows it from the Deployment alone', async () => {
    await begun()
    ledger = new MemoryLedger(still)
    expect(await asked()).toEqual({ unlock, undone: 5, left: 0 })
    expect(fields()).toEqual(before)
  })

  test('goes on with what is left after a refusal', async () => {
    await begun()
    now = leaseUntil
    refused.add(controller)
    await expect(asked()).rejects.toMatchObject({ name: 'UnlockNotRestored' })
    refused.clear()
    expect(await asked()).toMatchObject({ unlock })
    expect(fields()).toEqual(before)
    expect(counted).toEqual([true, false])
  })

  test('finds nothing where nothing is', async () => {
    expect(await asked()).toEqual(left)
  })
})
