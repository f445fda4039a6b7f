import { afterEach, beforeEach, expect, it } from 'vitest'
import { theScan } from '../../functions/lib/unlock/run/unlock-request.ts'
import type { UnlockRun } from '../../functions/lib/unlock/run/unlock-run.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import { statesEntered } from '../../infra/local/states/history.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const minute = 60_000
const vpc = 'Terraform/flux-system/vpc'
const backend = `backend "s3" { bucket = "states"
  key = "vpc/terraform.tfstate"
  region = "us-east-1"
  dynamodb_table = "locks" }`

let world: World
beforeEach(async () => {
  const policy = { staging: { apply: 'auto', plan: 'auto' } }
  const objects = [
    gitRepository('https://github.com/my-org/fleet-infra'),
    terraform('vpc', { backendConfig: { customConfiguration: backend } }),
  ]
  const soon = { minimumAge: { plan: '10m', apply: '10m' }, every: '4m' }
  world = await World.start(objects, {}, { locks: { dynamodb: ['locks'], s3: ['states'], policy, ...soon } })
})
afterEach(() => world.close())

/** A runner that dies in the middle of an apply, and is not missed by its controller. */
async function ghost(): Promise<void> {
  const { simulation } = world
  simulation.faults.hang(vpc)
  world.change()
  simulation.overwriteToken('GitRepository/flux-system/fleet', 'go')
  await world.until('the apply', () => messageOf('Ready') === 'Applying')
  simulation.killRunner(vpc, 'fail')
  simulation.faults.release(vpc)
}

const messageOf = (type: string): string | undefined =>
  world.object(vpc).status?.conditions.find((each: { type: string }) => each.type === type)?.message
const replicas = () =>
  world.simulation.store.get(builtinResources.Deployment, 'flux-system', 'tofu-controller')?.spec.replicas
const executions = () => world.host.interpreter.list({ machine: 'guarded-unlock' })

/** The newest first. While it is read no time passes. */
const runs = (): Promise<UnlockRun[]> => world.busy(() => world.host.ledger.listUnlockRuns('staging', 10))

it('a ghost whose policy is auto is unlocked without anybody asking, once', async () => {
  await ghost()
  await world.pass(60 * minute)
  expect(await runs()).toEqual([expect.objectContaining({ requestedBy: theScan, outcome: 'unlocked', object: vpc })])
  expect(executions().map(({ status }) => status)).toEqual(['SUCCEEDED'])
  expect([replicas(), world.object(vpc).spec.suspend]).toEqual([1, undefined])
  expect(messageOf('Ready')).toMatch(/^Applied|^Plan no changes|^No drift/)
})

it('an unlock that is aborted with the controller stopped is put back at once, and tried again an hour later', async () => {
  await ghost()
  await world.until('the fence', () => replicas() === 0)
  const [{ executionArn } = { executionArn: '' }] = executions()
  world.host.interpreter.stop(executionArn)
  const stoppedAt = world.clock.now()
  await world.until('what was stopped', () => replicas() === 1)
  expect(world.clock.now() - stoppedAt).toBeLessThan(minute)
  expect(statesEntered(world.host.interpreter.history(executionArn))).not.toContain('PutBack')
  await world.pass(minute)
  expect(world.object(vpc).spec.suspend).toBeUndefined()
  expect((await runs()).map(({ outcome }) => outcome)).toEqual(['failed'])
  await world.pass(75 * minute)
  expect((await runs()).map(({ outcome }) => outcome)).toEqual(['unlocked', 'failed'])
  expect([replicas(), world.object(vpc).spec.suspend]).toEqual([1, undefined])
})
