import { afterEach, expect, it } from 'vitest'
import { unlockRequest } from '../../functions/lib/unlock/unlock-request.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const minute = 60_000
const url = 'https://github.com/my-org/fleet-infra'

const onS3 = (name: string, ...lines: readonly string[]) => {
  const place = `bucket = "states"\n key = "${name}/terraform.tfstate"\n region = "us-east-1"`
  return terraform(name, {
    retryInterval: '5m',
    backendConfig: { customConfiguration: `backend "s3" { ${[place, ...lines].join('\n')} }` },
  })
}
const table = 'dynamodb_table = "locks"'

let world: World
afterEach(() => world.close())

const key = (name: string) => `Terraform/flux-system/${name}`

const pass = (ms: number) => new Promise<void>((resolve) => world.clock.after(ms, resolve))

it('a silent ghost is unlocked by quiescing, and its object goes on', async () => {
  const locks = {
    dynamodb: ['locks'],
    s3: ['states'],
    every: '4m',
    policy: { staging: { apply: 'auto', plan: 'auto' } },
  }
  world = await World.start([gitRepository(url), onS3('vpc', table), onS3('other', table)], {}, { locks })
  world.simulation.faults.hang(key('vpc'))
  world.change()
  world.simulation.overwriteToken('GitRepository/flux-system/fleet', 'go')
  await world.until('the apply', () => {
    const ready = world.object(key('vpc')).status?.conditions.find(({ type }: { type: string }) => type === 'Ready')
    return ready?.message === 'Applying'
  })
  world.simulation.killRunner(key('vpc'), 'fail')
  world.simulation.faults.release(key('vpc'))
  await pass(90 * minute)
  const done = world.clock.begin()
  const observations = await world.host.ledger.listObservations()
  done()
  console.log(observations.map((o) => [o.key, o.judgement.verdict, o.judgement.rule]))
  const stale = observations.find((o) => o.judgement.verdict === 'stale')
  if (stale) {
    const request = unlockRequest({
      place: stale.key,
      lock: stale.evidence.lock.record?.id ?? '',
      cluster: 'staging',
      requestedBy: 'x',
      reason: 'y',
      attempt: 0,
    })
    world.host.interpreter.start({ machine: 'guarded-unlock', ...request })
  }
  await pass(60 * minute)
  const runs = await world.host.ledger.listUnlockRuns('staging', 5)
  for (const { name } of world.host.interpreter.list({ machine: 'guarded-unlock' })) {
    const executionArn = `arn:aws:states:us-east-1:000000000000:execution:guarded-unlock:${name}`
    const events = world.host.interpreter.history(executionArn)
    console.log(
      events
        .map((e: any) => e.stateEnteredEventDetails?.name ?? e.taskFailedEventDetails?.cause ?? '')
        .filter(Boolean)
        .join('\n'),
    )
  }
  console.log(JSON.stringify(runs, null, 1))
  console.log(
    JSON.stringify(
      world.simulation.store.get(builtinResources.Deployment, 'flux-system', 'tofu-controller')?.spec.replicas,
    ),
  )
  console.log(JSON.stringify(world.object(key('vpc')).status, null, 1))
  expect(runs[0]?.outcome).toBe('unlocked')
})
