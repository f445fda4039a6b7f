import { afterEach, beforeEach, expect, it } from 'vitest'
import { unlockMachine } from '../../infra/local/views/unlock-run-view.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const minute = 60_000
const vpc = 'Terraform/flux-system/vpc'

let world: World
/** Of the lock. */
let place: string

/** A ghost's lock, found and judged, in a fleet where two people have to agree. */
beforeEach(async () => {
  const policy = { staging: { apply: 'two-approvals', plan: 'two-approvals' } }
  // Soon stale, so that few scans have to be run.
  const minimumAge = { plan: '5m', apply: '10m' }
  const asking = { policy, approvers: ['ana', 'bob', 'carol'], approvalFor: '20m' }
  const locks = { dynamodb: ['locks'], s3: ['states'], minimumAge, ...asking }
  const customConfiguration = `backend "s3" {
    bucket = "states"
    key = "vpc/terraform.tfstate"
    region = "us-east-1"
    dynamodb_table = "locks"
  }`
  const object = terraform('vpc', { retryInterval: '5m', backendConfig: { customConfiguration } })
  world = await World.start([gitRepository('https://github.com/my-org/fleet-infra'), object], {}, { locks })
  world.simulation.faults.hang(vpc)
  world.change()
  world.simulation.overwriteToken('GitRepository/flux-system/fleet', 'go')
  await world.until('the apply', () => readyOf() === 'Applying')
  world.simulation.killRunner(vpc, 'fail')
  world.simulation.faults.release(vpc)
  await pass(16 * minute)
  place = await world.until('a stale lock', () =>
    busy(async () => {
      const [found] = await world.host.ledger.listObservations()
      return found?.judgement.verdict === 'stale' && found.key
    }),
  )
})
afterEach(() => world.close())

const readyOf = () =>
  world.object(vpc).status?.conditions.find(({ type }: { type: string }) => type === 'Ready')?.message

/** What talks to stand-ins over HTTP: virtual time must not jump over it. */
async function busy<T>(work: () => Promise<T>): Promise<T> {
  const done = world.clock.begin()
  try {
    return await work()
  } finally {
    done()
  }
}

const pass = (ms: number) => new Promise<void>((resolve) => world.clock.after(ms, resolve))

async function asked(): Promise<string> {
  const { unlockRuns } = world.host.unlockRoutes
  const unlock = await busy(() => unlockRuns.start({ key: place, requestedBy: 'ana', reason: 'the node is gone' }))
  await world.until('the question', () => busy(async () => (await unlockRuns.get(unlock))?.approval))
  return unlock
}

const ended = (unlock: string) =>
  world.until('the end', () =>
    busy(async () => {
      const view = await world.host.unlockRoutes.unlockRuns.get(unlock)
      return view && view.status !== 'RUNNING' && view
    }),
  )

/** What a person does with the link that was sent. */
const page = (method: string, link: string, body?: string) =>
  busy(() =>
    world.host.unlockRoutes.approve({
      ...{ method, token: link.slice(link.lastIndexOf('/') + 1), headers: {}, isBase64Encoded: false },
      ...(body !== undefined && { body }),
    }),
  )

it('an unlock goes on once two people have agreed by their links', async () => {
  const links = new Map<string, string>()
  world.host.approvers.onMessage(({ approver, link }) => links.set(approver, link))
  const unlock = await asked()
  expect([...links.keys()]).toEqual(['bob', 'carol'])
  for (const link of links.values()) {
    expect((await page('GET', link)).body).toContain('Unlock Terraform/flux-system/vpc in staging?')
    expect((await page('HEAD', link)).statusCode).toBe(200)
  }
  await pass(minute)
  expect((await busy(() => world.host.unlockRoutes.unlockRuns.get(unlock)))?.approval?.decisions).toEqual([])

  expect((await page('POST', links.get('bob') ?? '', 'decision=approve')).statusCode).toBe(303)
  await pass(minute)
  expect((await busy(() => world.host.unlockRoutes.unlockRuns.get(unlock)))?.approval?.decisions).toHaveLength(1)
  expect((await page('POST', links.get('carol') ?? '', 'decision=approve')).statusCode).toBe(303)
  expect(await ended(unlock)).toMatchObject({ status: 'SUCCEEDED', run: { outcome: 'unlocked' } })

  const audit = await busy(() => world.host.ledger.listAudit(unlock))
  expect(audit.map(({ by, what }) => `${by}: ${what}`)).toEqual(
    expect.arrayContaining(['ask: asks for approval', 'bob: approves the unlock', 'carol: approves the unlock']),
  )
  const { history, list } = world.host.interpreter
  const executions = list.call(world.host.interpreter, { machine: unlockMachine })
  const kept = JSON.stringify([
    audit,
    executions.map(({ executionArn }) => history.call(world.host.interpreter, executionArn)),
  ])
  for (const link of links.values()) expect(kept).not.toContain(link)
})

it('an unlock that one person denies is refused, and its lock stays', async () => {
  const unlock = await asked()
  const { approvals } = world.host.unlockRoutes
  const [line] = await busy(() => approvals.list())
  const { judged = '' } = line ?? {}
  await busy(() => approvals.decide({ unlock, by: 'bob', decision: 'deny', judged, reason: 'I look at it' }))
  expect(await ended(unlock)).toMatchObject({
    run: { outcome: 'refused', why: expect.stringContaining('bob denied the unlock') },
  })
  expect((await busy(() => world.host.ledger.readObservation(place)))?.judgement.verdict).toBe('stale')
})

it('an unlock that nobody decides about is refused in the end', async () => {
  const unlock = await asked()
  await pass(20 * minute)
  expect(await ended(unlock)).toMatchObject({ run: { outcome: 'refused' } })
  expect((await busy(() => world.host.ledger.readObservation(place)))?.judgement.verdict).toBe('stale')
})
