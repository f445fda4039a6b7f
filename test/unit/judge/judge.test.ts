import { describe, expect, test } from 'vitest'
import { observationOf } from '../../fixtures/observations.ts'
import { terraform } from '../../fixtures/raw-objects.ts'
import {
  file,
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

const runner = 'runner@vpc-tf-runner'
const vpc = 'Terraform/flux-system/vpc'

/** `vpc` of staging, planned since the start by a runner that runs. */
function planning(options: Parameters<typeof s3Object>[1] = {}): ScannedFleet {
  const fleet = new ScannedFleet()
  fleet.staging.put(s3Object('vpc', options), runnerPod('vpc', start - minute))
  fleet.table.take(item('vpc.tfstate'), record('a', runner, start))
  fleet.states.put(state('vpc.tfstate'), 's1')
  return fleet
}

const kill = (fleet: ScannedFleet) => fleet.staging.remove(runnerPod('vpc', start))

describe('the locks of a cluster', () => {
  test('a runner that works is live, however old its lock is', async () => {
    const fleet = planning()
    await fleet.scanFor(120)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'live', rule: 'holder-runs' } })
    expect(fleet.told).toEqual(['live'])
  })

  test('a ghost becomes suspect, then stale, and is free when somebody has removed it', async () => {
    const fleet = planning()
    await fleet.scanFor(4)
    kill(fleet)
    await fleet.scanFor(40)
    expect(await fleet.observed(vpc)).toMatchObject({
      judgement: { verdict: 'stale', rule: 'holder-dead' },
      announced: { verdict: 'stale' },
      offences: [{ id: 'a' }],
    })
    fleet.table.release(item('vpc.tfstate'))
    await fleet.scanFor(4)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'free' }, offences: [{ id: 'a' }] })
    expect(fleet.told).toEqual(['live', 'suspect', 'stale', 'free'])
  })

  test('counts are answered and measured', async () => {
    const fleet = planning()
    fleet.now += minute
    expect(await fleet.scan('staging')).toMatchObject({ live: 1, stale: 0, freed: 0, findings: 0, unreadable: 0 })
    expect(fleet.figures).toMatchObject([{ cluster: 'staging', byVerdict: { live: 1 }, detectedAfter: [minute] }])
    fleet.table.release(item('vpc.tfstate'))
    fleet.now += minute
    expect(await fleet.scan('staging')).toMatchObject({ live: 0, freed: 1 })
    expect(await fleet.scan('staging')).toMatchObject({ live: 0, freed: 0 })
  })

  test('a place that was never locked leaves nothing behind', async () => {
    const fleet = new ScannedFleet()
    fleet.staging.put(s3Object('vpc'))
    await fleet.scanFor(4)
    expect(await fleet.ledger.listObservations()).toEqual([])
    expect(fleet.told).toEqual([])
  })

  test('a lock in two places is one', async () => {
    const fleet = planning({ lockfile: true })
    fleet.bucket.take(file('vpc.tfstate'), record('a', runner, start), start)
    await fleet.scanFor(2)
    const { evidence } = (await fleet.observed(vpc)) ?? {}
    expect(evidence?.lock).toMatchObject({ parts: [{ store: 's3' }, { store: 'dynamodb' }], record: { id: 'a' } })
    expect(await fleet.ledger.listObservations()).toHaveLength(1)
  })

  test('two places that tell of different locks are unknown', async () => {
    const fleet = planning({ lockfile: true })
    fleet.bucket.take(file('vpc.tfstate'), record('b', runner, start), start)
    await fleet.scanFor(2)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'unknown', rule: 'unreadable-record' } })
  })

  test('a Lease is judged by the same evidence', async () => {
    const fleet = new ScannedFleet()
    const lease = heldLease('lock-tfstate-default-vpc', 'a', record('a', runner, start))
    fleet.staging.put(terraform('vpc'), runnerPod('vpc', start - minute), lease)
    await fleet.scanFor(2)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { rule: 'holder-runs' }, cluster: 'staging' })
    kill(fleet)
    await fleet.scanFor(40)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'stale' } })
  })

  test('a Lease of no object is told, and never stale', async () => {
    const fleet = new ScannedFleet()
    fleet.staging.put(heldLease('lock-tfstate-default-lab', 'a', record('a', 'ana@laptop', start)))
    await fleet.scanFor(60)
    expect(fleet.told).toEqual(['live', 'suspect'])
    expect(await fleet.ledger.listObservations()).toMatchObject([
      { cluster: 'staging', judgement: { rule: 'not-a-runner' } },
    ])
    fleet.staging.remove(heldLease('lock-tfstate-default-lab', '', ''))
    await fleet.scanFor(2)
    expect(fleet.told).toEqual(['live', 'suspect', 'free'])
  })

  test('objects without locks that can be read are findings', async () => {
    const fleet = new ScannedFleet()
    const backend = (text: string) => ({ spec: { backendConfig: { customConfiguration: text } } })
    fleet.staging.put(
      terraform('gcs', backend('backend "gcs" { bucket = "b" }')),
      terraform('bare', backend('backend "s3" {\n bucket = "states"\n key = "k"\n region = "us-east-1"\n}')),
      terraform('broken', backend('backend "s3" {')),
      terraform(
        'far',
        backend(
          'backend "s3" {\n bucket = "states"\n key = "k"\n region = "us-east-1"\n use_lockfile = true\n endpoints = { s3 = "https://s3.example.com" }\n}',
        ),
      ),
      terraform(
        'other',
        backend('backend "s3" {\n bucket = "unheard-of"\n key = "k"\n region = "us-east-1"\n use_lockfile = true\n}'),
      ),
    )
    // A bucket of the same name is somewhere else.
    fleet.bucket.take(file('k'), record('a', 'runner@far-tf-runner', start), start)
    expect(await fleet.scan('staging')).toMatchObject({ findings: 5, unreadable: 1 })
    expect(await fleet.observed('Terraform/flux-system/far')).toBeUndefined()
    const { findings = [] } = (await fleet.ledger.readScan('staging')) ?? {}
    expect(Object.fromEntries(findings.map(({ subject, kind }) => [subject, kind]))).toEqual({
      'Terraform/flux-system/gcs': 'unsupported',
      'Terraform/flux-system/bare': 'unlocked',
      'Terraform/flux-system/broken': 'unreadable',
      'Terraform/flux-system/far': 'unsupported',
      'S3 bucket unheard-of': 'store',
    })
  })
})

describe('what cannot be read', () => {
  test('a store makes its locks unknown, and the others go on', async () => {
    const fleet = planning()
    fleet.staging.put(terraform('dns'), runnerPod('dns', start - minute))
    fleet.staging.put(heldLease('lock-tfstate-default-dns', 'l', record('l', 'runner@dns-tf-runner', start)))
    kill(fleet)
    await fleet.scanFor(40)
    fleet.table.denied = true
    fleet.now += minute
    expect(await fleet.scan('staging')).toMatchObject({ live: 1, unknown: 1, unreadable: 1 })
    expect((await fleet.observed(vpc))?.judgement.reasons.join()).toContain('DynamoDB table locks in us-east-1')
    fleet.table.denied = false
    await fleet.scanFor(2)
    // Its death is looked at anew.
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { rule: 'dead-but-not-quiet' } })
    await fleet.scanFor(6)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'stale' } })
  })

  test('a cluster makes its locks unknown, and frees none', async () => {
    const fleet = planning()
    await fleet.scanFor(2)
    fleet.staging.down = true
    fleet.now += minute
    expect(await fleet.scan('staging')).toMatchObject({ unknown: 1, unreadable: 1, freed: 0 })
    await fleet.scan('others')
    expect(fleet.told).toEqual(['live', 'unknown'])
    fleet.staging.down = false
    await fleet.scanFor(2)
    expect(fleet.told).toEqual(['live', 'unknown', 'live'])
  })

  test.each(['Pod', 'Node', 'Lease'] as const)('without the right to read %ss no ghost is stale', async (kind) => {
    const fleet = planning()
    await fleet.scanFor(2)
    kill(fleet)
    fleet.staging.denied.add(kind)
    await fleet.scanFor(60)
    expect(fleet.told).not.toContain('stale')
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'unknown' } })
  })

  test('an object whose backend cannot be read any more keeps its lock, as unknown', async () => {
    const fleet = planning()
    await fleet.scanFor(2)
    fleet.staging.put(terraform('vpc', { spec: { backendConfig: { customConfiguration: 'backend "s3" {' } } }))
    await fleet.scanFor(2)
    expect(await fleet.observed(vpc)).toMatchObject({ judgement: { verdict: 'unknown' }, cluster: 'staging' })
    expect(fleet.told).toEqual(['live', 'unknown'])
  })
})

describe('a state that several objects keep', () => {
  test('is nobody’s: its lock is never stale', async () => {
    const fleet = planning()
    fleet.staging.put(s3Object('vpc', { namespace: 'other' }))
    kill(fleet)
    await fleet.scanFor(90)
    expect(fleet.told).toEqual(['live', 'suspect'])
    expect((await fleet.ledger.readScan('staging'))?.findings).toMatchObject([{ kind: 'shared' }, { kind: 'shared' }])
  })

  test('in two clusters is nobody’s either, and stays so while one of them cannot be read', async () => {
    const fleet = planning()
    kill(fleet)
    // The same manifest in the other cluster: its runner has the same name, and works.
    fleet.production.put(s3Object('vpc'), runnerPod('vpc', start - minute))
    await fleet.scanFor(4)
    fleet.production.down = true
    await fleet.scanFor(90)
    expect(fleet.told).not.toContain('stale')
    expect((await fleet.ledger.readScan('staging'))?.findings).toMatchObject([{ kind: 'shared', subject: vpc }])
  })

  test('may be in a cluster that was never read', async () => {
    const fleet = planning()
    kill(fleet)
    fleet.production.down = true
    await fleet.scanFor(30)
    expect(fleet.told).not.toContain('stale')
    // Once it has been read, its absence later does not matter.
    fleet.production.down = false
    await fleet.scanFor(10)
    expect(fleet.told.at(-1)).toBe('stale')
  })

  test('with a part of the place only is found as well', async () => {
    const fleet = planning({ lockfile: true })
    fleet.staging.put(s3Object('copy', { key: 'vpc.tfstate' }))
    kill(fleet)
    await fleet.scanFor(90)
    expect(fleet.told).not.toContain('stale')
  })
})

describe('late and overlapping scans', () => {
  test('read the locks before what tells of their holders', async () => {
    const fleet = planning()
    await fleet.scan('production')
    const calls: string[] = []
    const { read } = fleet.table
    const { get, list } = fleet.staging
    fleet.table.read = (address) => {
      calls.push('lock')
      return read.call(fleet.table, address)
    }
    fleet.staging.get = (ref) => {
      calls.push(ref.kind)
      return get.call(fleet.staging, ref)
    }
    fleet.staging.list = (kind, options) => {
      calls.push(kind)
      return list.call(fleet.staging, kind, options)
    }
    await fleet.scan('staging')
    for (const kind of ['Pod', 'Node']) expect(calls.indexOf(kind)).toBeGreaterThan(calls.indexOf('lock'))
    expect(calls).toContain('lock')
  })

  test('are skipped while another one is at it', async () => {
    const fleet = planning()
    await fleet.ledger.takeScan('staging', 'another', start + 10 * minute)
    expect(await fleet.scan('staging')).toMatchObject({ skipped: true })
    expect(fleet.told).toEqual([])
    fleet.now += 11 * minute
    expect(await fleet.scan('staging')).toMatchObject({ skipped: false, live: 1 })
  })

  test('drop what another one has overtaken', async () => {
    const fleet = planning()
    await fleet.scanFor(2)
    const before = await fleet.observed(vpc)
    // The state is read after the lock: in between, another scan of the same execution writes.
    const { read } = fleet.states
    fleet.states.read = async (address) => {
      fleet.states.read = read
      await fleet.scan('staging', 'twice')
      return read.call(fleet.states, address)
    }
    fleet.now += minute
    expect(await fleet.scan('staging', 'twice')).toMatchObject({ dropped: 1, live: 0 })
    expect((await fleet.observed(vpc))?.version).toBe((before?.version ?? 0) + 1)
    expect(fleet.told).toEqual(['live'])
  })
})

describe('events', () => {
  test('that could not be sent are sent later, in order, and none is lost', async () => {
    const fleet = planning()
    fleet.events.down = true
    await fleet.scanFor(4)
    kill(fleet)
    await fleet.scanFor(4)
    fleet.events.down = false
    await fleet.scanFor(2)
    expect(fleet.told).toEqual(['live', 'suspect'])
  })

  test('that could not be sent are sent by the next scan, even when there is nothing else left of the place', async () => {
    const fleet = planning()
    await fleet.scanFor(2)
    fleet.events.down = true
    fleet.table.release(item('vpc.tfstate'))
    await fleet.scanFor(2)
    expect(await fleet.scan('staging')).toMatchObject({ failed: 1 })
    fleet.events.down = false
    fleet.staging.remove(s3Object('vpc'))
    await fleet.scanFor(4)
    expect(fleet.told).toEqual(['live', 'free'])
  })

  test('are sent again with the same id, after a crash before it was written down', async () => {
    const fleet = planning()
    const { writeObservation } = fleet.ledger
    let writes = 0
    fleet.ledger.writeObservation = async (observation) => {
      if (++writes === 2) throw new Error('crashed')
      return writeObservation.call(fleet.ledger, observation)
    }
    await fleet.scanFor(4)
    expect(fleet.told).toEqual(['live', 'live'])
    expect(new Set(fleet.events.published.map(({ id }) => id)).size).toBe(1)
    await fleet.scanFor(4)
    expect(fleet.told).toHaveLength(2)
  })

  test('name the lock and its object, and hold no digest of a state', async () => {
    const fleet = planning()
    await fleet.scanFor(2)
    expect(fleet.events.published).toMatchObject([{ lock: 'a', object: vpc, cluster: 'staging', who: runner }])
    expect(JSON.stringify(fleet.events.published)).not.toContain('d41d8cd98f00b204e9800998ecf8427e')
  })
})

describe('what belongs to no object', () => {
  test('is told, and is never stale', async () => {
    const fleet = new ScannedFleet()
    fleet.table.take(item('lab.tfstate'), record('x', 'runner@lab-tf-runner', start))
    await fleet.scanFor(90)
    expect(fleet.told).toEqual(['live', 'suspect'])
    expect(await fleet.ledger.listObservations()).toMatchObject([{ judgement: { rule: 'not-a-runner' } }])
    fleet.table.release(item('lab.tfstate'))
    await fleet.scanFor(2)
    expect(fleet.told).toEqual(['live', 'suspect', 'free'])
  })

  test('is not what an object owns, in one place or in two', async () => {
    const fleet = planning({ lockfile: true })
    fleet.bucket.take(file('vpc.tfstate'), record('a', runner, start), start)
    await fleet.scanFor(4)
    expect(await fleet.ledger.listObservations()).toHaveLength(1)
  })

  test('is a lock whose object was deleted', async () => {
    const fleet = planning()
    await fleet.scanFor(2)
    fleet.staging.remove(s3Object('vpc'))
    await fleet.scanFor(2)
    const [observation] = await fleet.ledger.listObservations()
    expect(observation).toMatchObject({ judgement: { rule: 'young-and-not-a-runner' } })
    expect(observation?.cluster).toBeUndefined()
    expect(observation?.evidence.sight.firstSeenAt).toBe(start + 2 * minute)
  })

  test('becomes free when both the object and the lock are gone', async () => {
    const fleet = planning({ lockfile: true })
    fleet.bucket.take(file('vpc.tfstate'), record('a', runner, start), start)
    await fleet.scanFor(2)
    fleet.staging.remove(s3Object('vpc'))
    fleet.table.release(item('vpc.tfstate'))
    fleet.bucket.release(file('vpc.tfstate'))
    await fleet.scanFor(2)
    expect(fleet.told).toEqual(['live', 'free'])
  })

  test('is what a cluster left behind that is not in the fleet any more', async () => {
    const fleet = new ScannedFleet()
    const parts = [{ store: 'kubernetes' as const, address: 'Lease/a/lock-tfstate-default-b in old', version: 'v' }]
    await fleet.ledger.writeObservation(observationOf({ lock: { parts } }, { cluster: 'old' }))
    await fleet.scanFor(2)
    expect(fleet.told).toEqual(['live', 'free'])
  })

  test('is unknown where its store cannot be read', async () => {
    const fleet = new ScannedFleet()
    fleet.table.take(item('lab.tfstate'), record('x', 'ana@laptop', start))
    await fleet.scanFor(2)
    fleet.table.denied = true
    fleet.now += minute
    expect(await fleet.scan('others')).toMatchObject({ unknown: 1, unreadable: 1, freed: 0 })
  })
})
