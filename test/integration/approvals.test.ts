import { DeleteCommand, ScanCommand } from '@aws-sdk/lib-dynamodb'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { UnlockApprovalLine } from '../../infra/local/views/approval-view.ts'
import { unlockMachine } from '../../infra/local/views/unlock-run-view.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const minute = 60_000
const vpc = 'Terraform/flux-system/vpc'

let world: World
/** What the scan asks people. */
let asked: UnlockApprovalLine
/** What people were sent, by their names. */
let links: ReadonlyMap<string, string>

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
  // The scan asks as soon as the lock is stale.
  links = await sent(3)
  const [line] = await world.busy(() => world.host.unlockRoutes.approvals.list())
  if (line?.kind !== 'unlock') throw new Error('nobody is asked')
  asked = line
})
afterEach(() => world.close())

const readyOf = () =>
  world.object(vpc).status?.conditions.find(({ type }: { type: string }) => type === 'Ready')?.message

/** Waits until so many people have been sent a link. */
function sent(count: number): Promise<ReadonlyMap<string, string>> {
  const got = new Map<string, string>()
  return new Promise((resolve) => {
    const end = world.host.approvers.onMessage(({ approver, link }) => {
      got.set(approver, link)
      if (got.size < count) return
      end()
      resolve(got)
    })
  })
}

/** How an unlock has ended. */
async function ended(unlock: string) {
  const { interpreter, unlockRoutes } = world.host
  const execution = interpreter.list({ machine: unlockMachine }).find(({ name }) => name === unlock)
  await interpreter.finished(execution?.executionArn ?? '')
  return world.busy(() => unlockRoutes.unlockRuns.get(unlock))
}

const decided = async () => (await world.busy(() => world.host.unlockRoutes.approvals.list()))[0]?.decisions

/** What a person does with the link that was sent. */
const page = (method: string, link: string, body?: string) =>
  world.busy(() =>
    world.host.unlockRoutes.approve({
      ...{ method, token: link.slice(link.lastIndexOf('/') + 1), headers: {}, isBase64Encoded: false },
      ...(body !== undefined && { body }),
    }),
  )

it('goes on once two people have agreed by their links, and not with one who denies', async () => {
  const { approvals, unlockRuns } = world.host.unlockRoutes

  const { id: first, requestedBy, judged, place } = asked
  expect([requestedBy, [...links.keys()]]).toEqual(['lockstep (scan)', ['ana', 'bob', 'carol']])
  const request = { key: place, requestedBy: 'ana', reason: 'the node is gone' }
  expect(await world.busy(() => unlockRuns.start(request))).toEqual({ unlock: first, wasUnderWay: true })
  await world.busy(() =>
    approvals.decide({ approval: first, by: 'bob', decision: 'deny', judged, reason: 'I look at it' }),
  )
  expect(await ended(first)).toMatchObject({
    run: { outcome: 'refused', why: expect.stringContaining('bob denied the unlock') },
  })
  expect((await world.busy(() => world.host.ledger.readObservation(place)))?.judgement.verdict).toBe('stale')

  const sentAgain = sent(2)
  const { unlock } = await world.busy(() => unlockRuns.start(request))
  links = await sentAgain
  // Ana has asked for it herself.
  expect([...links.keys()]).toEqual(['bob', 'carol'])
  for (const link of links.values()) {
    expect((await page('GET', link)).body).toContain('Unlock Terraform/flux-system/vpc in staging?')
    expect((await page('HEAD', link)).statusCode).toBe(200)
  }
  expect(await decided()).toEqual([])
  expect((await page('POST', links.get('bob') ?? '', 'decision=approve')).statusCode).toBe(303)
  await world.pass(3 * minute)
  expect(await decided()).toHaveLength(1)
  expect((await page('POST', links.get('carol') ?? '', 'decision=approve')).statusCode).toBe(303)
  expect(await ended(unlock)).toMatchObject({ status: 'SUCCEEDED', run: { outcome: 'unlocked' } })

  const audit = await world.busy(() => world.host.ledger.listAudit(unlock))
  expect(audit.map(({ by, what }) => `${by}: ${what}`)).toEqual(
    expect.arrayContaining(['ask: asks for approval', 'bob: approves the unlock', 'carol: approves the unlock']),
  )
  const { interpreter } = world.host
  const executions = interpreter.list({ machine: unlockMachine })
  const kept = JSON.stringify([audit, executions.map(({ executionArn }) => interpreter.history(executionArn))])
  for (const link of links.values()) expect(kept).not.toContain(link)
})

it('is refused in the end when nobody decides', async () => {
  const { id: unlock, place } = asked
  expect(await ended(unlock)).toMatchObject({ run: { outcome: 'refused' } })
  expect((await world.busy(() => world.host.ledger.readObservation(place)))?.judgement.verdict).toBe('stale')
})

it('is void once the lock is another one: those who agreed, agreed to the one before', async () => {
  const { id: unlock, judged } = asked
  const { approvals } = world.host.unlockRoutes
  await world.busy(() => approvals.decide({ approval: unlock, by: 'bob', decision: 'approve', judged }))
  const item = { TableName: 'locks', Key: { LockID: 'states/vpc/terraform.tfstate' } }
  await world.busy(async () => world.states?.dynamodb.send(new DeleteCommand(item)))
  await world.simulation.takeLock(vpc, { who: 'dora@laptop' })
  expect(await ended(unlock)).toMatchObject({
    run: { outcome: 'refused', why: expect.stringContaining('not what people were asked about') },
  })
  expect(await world.busy(() => world.host.ledger.readApproval(unlock))).toMatchObject({ closed: { how: 'changed' } })
  const [held] = await world.busy(
    async () => (await world.states?.dynamodb.send(new ScanCommand({ TableName: 'locks' })))?.Items ?? [],
  )
  expect(held?.Info).toContain('dora@laptop')
})
