import { EKSClient } from '@aws-sdk/client-eks'
import { afterEach, expect, it } from 'vitest'
import { eksClusters } from '../../functions/lib/kubernetes/eks.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import { simulatedKinds } from '../../infra/local/simulation/kinds.ts'
import { UnlockViews } from '../../infra/local/views/unlock-view.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const minute = 60_000

const onS3 = (name: string, ...lines: readonly string[]) => {
  const place = `bucket = "states"\n key = "${name}/terraform.tfstate"\n region = "us-east-1"`
  return terraform(name, {
    retryInterval: '5m',
    backendConfig: { customConfiguration: `backend "s3" { ${[place, ...lines].join('\n')} }` },
  })
}

let world: World
afterEach(() => world.close())

const key = (name: string) => `Terraform/flux-system/${name}`
const message = (name: string) =>
  world.object(key(name)).status?.conditions.find(({ type }: { type: string }) => type === 'Ready')?.message

/** What an unlock of each lock would do: its rung, or the rule by which it is refused. */
async function plans(): Promise<Record<string, string>> {
  const reading = world.clock.begin()
  const { host, fleet, clock, simulated } = world
  const eksClient = (region: string) =>
    new EKSClient({ region, endpoint: simulated.eks.url, credentials: localCredentials })
  const views = new UnlockViews({ ledger: host.ledger, fleet, clusters: eksClusters({ clock, fleet, eksClient }) })
  const found: Record<string, string> = {}
  for (const { key: place, evidence } of await host.ledger.listObservations()) {
    const plan = (await views.plan(place))?.plan
    const name = evidence.owner?.object.split('/').at(-1) ?? place
    found[name] = plan?.outcome === 'planned' ? `${plan.rung}, ${plan.estimate.atLeastMs / 1_000} s` : `${plan?.rule}`
  }
  reading()
  return found
}

/** Every object of the cluster as it is. */
const versions = () =>
  [...Object.values(simulatedKinds), ...Object.values(builtinResources)].flatMap((kind) =>
    world.simulation.store.list(kind).items.map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`),
  )

it('chooses the rung by what the clusters show, and changes nothing', async () => {
  const locks = { dynamodb: ['locks'], s3: ['states'], every: '4m' }
  const objects = [
    onS3('silent', 'dynamodb_table = "locks"'),
    onS3('loud', 'use_lockfile = true', 'dynamodb_table = "locks"'),
    onS3('works', 'use_lockfile = true'),
    onS3('laptop', 'dynamodb_table = "locks"'),
    terraform('lease'),
  ]
  world = await World.start([gitRepository('https://github.com/my-org/fleet-infra'), ...objects], {}, { locks })
  const applying = ['silent', 'loud', 'works', 'lease']
  for (const name of applying) world.simulation.faults.hang(key(name))
  world.change()
  world.simulation.overwriteToken('GitRepository/flux-system/fleet', 'go')
  for (const name of applying) await world.until(`the apply of ${name}`, () => message(name) === 'Applying')
  world.simulation.killRunner(key('silent'), 'fail')
  // What else runs ends meanwhile.
  await world.pass(minute)
  world.simulation.killRunner(key('loud'), 'restart')
  world.simulation.killRunner(key('lease'), 'restart')
  await world.simulation.takeLock(key('laptop'), { who: 'ana@laptop' })

  await world.pass(20 * minute)
  expect(await plans()).toEqual({
    ...{ silent: 'suspect', loud: 'suspect', lease: 'suspect' },
    ...{ works: 'live', laptop: 'live' },
  })

  await world.pass(70 * minute)
  const before = versions()
  expect(await plans()).toEqual({
    // Its controller waits for the run that hangs.
    silent: 'quiesce, 240 s',
    ...{ loud: 'controller-assisted, 0 s', lease: 'controller-assisted, 0 s' },
    ...{ works: 'live', laptop: 'not-a-runner' },
  })
  expect(versions()).toEqual(before)
})
