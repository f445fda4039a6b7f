import { DeleteCommand, ScanCommand } from '@aws-sdk/lib-dynamodb'
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
/** What people were sent, by their names. */
const links = new Map<string, string>()

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
  links.clear()
  world.host.approvers.onMessage(({ approver, link }) => links.set(approver, link))
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

/** The unlock for which people are waited for. */
const waiting = () =>
  world.until('the question', () => busy(async () => (await world.host.unlockRoutes.approvals.list())[0]))

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

it('goes on once two people have agreed by their links, and not with one who denies', async () => {
  const { approvals, unlockRuns } = world.host.unlockRoutes

  const { unlock: first, requestedBy, judged } = await waiting()
  expect(requestedBy).toBe('lockstep (scan)')
  await world.until('a link for each', () => links.size === 3)
  const request = { key: place, requestedBy: 'ana', reason: 'the node is gone' }
  expect(await busy(() => unlockRuns.start(request))).toEqual({ unlock: first, wasUnderWay: true })
  await busy(() => approvals.decide({ unlock: first, by: 'bob', decision: 'deny', judged, reason: 'I look at it' }))
  expect(await ended(first)).toMatchObject({
    run: { outcome: 'refused', why: expect.stringContaining('bob denied the unlock') },
  })
  expect((await busy(() => world.host.ledger.readObservation(place)))?.judgement.verdict).toBe('stale')

  links.clear()
  const { unlock } = await busy(() => unlockRuns.start(request))
  await world.until('the links', () => links.size === 2)
  // Ana has asked for it herself.
  expect([...links.keys()]).toEqual(['bob', 'carol'])
  for (const link of links.values()) {
    expect((await page('GET', link)).body).toContain('Unlock Terraform/flux-system/vpc in staging?')
    expect((await page('HEAD', link)).statusCode).toBe(200)
  }
  expect((await waiting()).decisions).toEqual([])
  expect((await page('POST', links.get('bob') ?? '', 'decision=approve')).statusCode).toBe(303)
  await pass(3 * minute)
  expect((await waiting()).decisions).toHaveLength(1)
  expect((await page('POST', links.get('carol') ?? '', 'decision=approve')).statusCode).toBe(303)
  expect(await ended(unlock)).toMatchObject({ status: 'SUCCEEDED', run: { outcome: 'unlocked' } })

  const audit = await busy(() => world.host.ledger.listAudit(unlock))
  expect(audit.map(({ by, what }) => `${by}: ${what}`)).toEqual(
    expect.arrayContaining(['ask: asks for approval', 'bob: approves the unlock', 'carol: approves the unlock']),
  )
  const { interpreter } = world.host
  const executions = interpreter.list({ machine: unlockMachine })
  const kept = JSON.stringify([audit, executions.map(({ executionArn }) => interpreter.history(executionArn))])
  for (const link of links.values()) expect(kept).not.toContain(link)
})

it('is refused in the end when nobody decides', async () => {
  const { unlock } = await waiting()
  await pass(20 * minute)
  expect(await ended(unlock)).toMatchObject({ run: { outcome: 'refused' } })
  expect((await busy(() => world.host.ledger.readObservation(place)))?.judgement.verdict).toBe('stale')
})

it('is void once the lock is another one: those who agreed, agreed to the one before', async () => {
  const { unlock, judged } = await waiting()
  const { approvals } = world.host.unlockRoutes
  await busy(() => approvals.decide({ unlock, by: 'bob', decision: 'approve', judged }))
  const item = { TableName: 'locks', Key: { LockID: 'states/vpc/terraform.tfstate' } }
  await busy(async () => world.states?.dynamodb.send(new DeleteCommand(item)))
  await world.simulation.takeLock(vpc, { who: 'dora@laptop' })
  await pass(6 * minute)
  expect(await ended(unlock)).toMatchObject({
    run: { outcome: 'refused', why: expect.stringContaining('not what people were asked about') },
  })
  expect(await busy(() => world.host.ledger.readApproval(unlock))).toMatchObject({ closed: { how: 'changed' } })
  const [held] = await busy(
    async () => (await world.states?.dynamodb.send(new ScanCommand({ TableName: 'locks' })))?.Items ?? [],
  )
  expect(held?.Info).toContain('dora@laptop')
})
