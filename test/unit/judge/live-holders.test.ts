import { describe, expect, test } from 'vitest'
import { terraform } from '../../fixtures/raw-objects.ts'
import {
  applying,
  heldLease,
  item,
  minute,
  record,
  runnerPod,
  ScannedFleet,
  s3Object,
  start,
  state,
} from './scanned-fleet.ts'

/** A record names a runner, and neither its namespace nor its cluster. All of these holders live. */

const runner = 'runner@vpc-tf-runner'
const s3 = (namespace: string, key = 'vpc.tfstate') => s3Object('vpc', { namespace, key })
const kept = (backendConfig: object, more: object = {}) =>
  terraform('vpc', { namespace: 'a', spec: { backendConfig, ...more } })
const block = (name: string, lines: string) => ({ customConfiguration: `backend "${name}" {\n${lines}\n}` })
const inTable = 'bucket = "states"\nkey = "vpc.tfstate"\ndynamodb_table = "locks"'

function lockedFleet(): ScannedFleet {
  const fleet = new ScannedFleet()
  fleet.states.put(state('vpc.tfstate'), 's1')
  fleet.table.take(item('vpc.tfstate'), record('a', runner, start))
  return fleet
}

async function expectNeverStale(fleet: ScannedFleet): Promise<void> {
  await fleet.scanFor(40)
  expect(fleet.told).not.toContain('stale')
  expect(fleet.told).not.toEqual([])
}

describe('a runner of another namespace', () => {
  const running = () => runnerPod('vpc', start - minute, 'uid-a', 'a')

  test('whose object cannot be read any more, after it was known to keep the same state', async () => {
    const fleet = lockedFleet()
    fleet.staging.put(s3('a'), s3('b'), running())
    await fleet.scanFor(4)
    fleet.staging.put(kept(block('s3', inTable), { backendConfigsFrom: [{ kind: 'Secret', name: 'away' }] }))
    await expectNeverStale(fleet)
  })

  test.each([
    ['its module', kept({ disable: true })],
    [
      'a Secret that is missing',
      kept(block('s3', inTable), { backendConfigsFrom: [{ kind: 'Secret', name: 'away' }] }),
    ],
    [
      'another workspace, by its environment',
      kept(block('s3', inTable), { runnerPodTemplate: { spec: { env: [{ name: 'TF_WORKSPACE', value: 'dev' }] } } }),
    ],
  ])('whose backend is in %s', async (_, object) => {
    const fleet = lockedFleet()
    fleet.staging.put(object, s3('b'), running())
    await expectNeverStale(fleet)
  })

  test('whose object was put right while it applies', async () => {
    const fleet = lockedFleet()
    fleet.staging.put(s3('a'), s3('b'), running())
    await fleet.scanFor(4)
    fleet.staging.put(s3('a', 'other.tfstate'))
    await expectNeverStale(fleet)
  })

  test('whose object moved to this one while it applies', async () => {
    const fleet = lockedFleet()
    fleet.staging.put(s3('a'), running())
    await fleet.scanFor(4)
    fleet.staging.remove(s3('a'))
    fleet.staging.put(s3('b'))
    await expectNeverStale(fleet)
  })

  test('whose object was gone before anybody looked', async () => {
    const fleet = lockedFleet()
    const { metadata, ...pod } = running()
    fleet.staging.put({ ...pod, metadata: { ...metadata, labels: { 'app.kubernetes.io/name': 'tf-runner' } } })
    fleet.staging.put(s3('b'))
    await expectNeverStale(fleet)
  })
})

describe('a runner of another cluster', () => {
  test('that got the object after it was read, and cannot be read now', async () => {
    const fleet = new ScannedFleet()
    await fleet.scanFor(2)
    fleet.staging.put(s3('flux-system'))
    fleet.production.put(s3('flux-system'), runnerPod('vpc', fleet.now))
    fleet.states.put(state('vpc.tfstate'), 's1')
    fleet.table.take(item('vpc.tfstate'), record('a', runner, fleet.now))
    fleet.production.down = true
    await expectNeverStale(fleet)
  })

  test('that is not the fleet’s: this one never had a pod beside the lock', async () => {
    const fleet = lockedFleet()
    const { status: _, ...settled } = s3('flux-system')
    fleet.staging.put(settled)
    await expectNeverStale(fleet)
  })

  test('whose kubeconfig leads here', async () => {
    const fleet = new ScannedFleet()
    const lease = heldLease('lock-tfstate-default-vpc', 'a', record('a', runner, start))
    fleet.staging.put(terraform('vpc', { status: applying }), lease)
    const lines = 'secret_suffix = "vpc"\nnamespace = "flux-system"\nconfig_path = "/kube/staging"'
    fleet.production.put(terraform('vpc', { spec: { backendConfig: block('kubernetes', lines) } }))
    fleet.production.put(runnerPod('vpc', start - minute))
    await expectNeverStale(fleet)
  })
})

test('and one that is dead is stale beside an object of another name that keeps the same state', async () => {
  const fleet = lockedFleet()
  fleet.staging.put(s3('flux-system'), s3Object('vpc-pr-12', { key: 'vpc.tfstate' }))
  await fleet.scanFor(40)
  expect(fleet.told).toContain('stale')
})
