import { DeleteObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { afterEach, describe, expect, test } from 'vitest'
import { statesEntered } from '../../../infra/local/states/history.ts'
import { failing } from '../states/machines.ts'
import { clusterNames, FleetMachine, fleetOfWaves, largestState, newPush, type Rollout } from './fleet-machine.ts'

const machines: FleetMachine[] = []

async function machineFor(waves: readonly (readonly string[])[], rollout: Rollout, extra: object = {}) {
  const machine = await FleetMachine.start({ fleet: fleetOfWaves(waves, extra), rollout })
  machines.push(machine)
  return machine
}

async function pushed(waves: readonly (readonly string[])[], rollout: Rollout, extra: object = {}) {
  return (await machineFor(waves, rollout, extra)).push()
}

afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.close()
})

const well: Rollout = async () => 'succeeded'
const failingIn =
  (...names: string[]): Rollout =>
  async (cluster) => {
    if (names.includes(cluster)) throw failing('RolloutFailed')
    return 'succeeded'
  }

describe('a fleet', () => {
  test('goes wave after wave', async () => {
    const end = await pushed([['staging'], ['one', 'two']], well)
    expect(end.status).toBe('SUCCEEDED')
    expect(end.output).toEqual({
      outcome: 'succeeded',
      message: 'All waves (2) are through: 3 of 3 clusters succeeded.',
    })
    expect(end.started).toEqual(['staging', 'one', 'two'])
    expect(end.states).toEqual([
      ...['TakePush', 'PlanWave', 'StartWave', 'RolloutWave', 'Rollout', 'ConcludeWave', 'NextWave'],
      ...['PlanWave', 'StartWave', 'RolloutWave', 'Rollout', 'Rollout', 'ConcludeWave', 'NextWave', 'Done'],
    ])
  })

  test('that nobody follows is done', async () => {
    const machine = await machineFor([['staging']], well)
    const end = await machine.push({ ...newPush(), repository: { name: 'my-org/other', host: 'github.com' } })
    expect(end).toMatchObject({ status: 'SUCCEEDED', started: [], output: { outcome: 'succeeded' } })
  })

  test('lets the peers of a cluster that fails at once go on to their ends, and stops after the wave', async () => {
    const ended: string[] = []
    const machine = await machineFor([['bad', 'good', 'slow'], ['production']], async (cluster) => {
      if (cluster === 'bad') throw failing('RolloutFailed')
      if (cluster === 'slow') await new Promise<void>((resolve) => void machine.clock.after(3_600_000, resolve))
      ended.push(cluster)
      return 'succeeded'
    })
    const end = await machine.push()
    expect(ended).toEqual(['good', 'slow'])
    expect(end.started).not.toContain('production')
    expect(end).toMatchObject({ status: 'FAILED', output: {} })
    expect(end.cause).toMatch(
      /^Wave 1 of 2: 2 of 3 clusters succeeded, 1 failed \(bad\)\. 1 later wave with 1 cluster did not begin\. The fleet tolerates 0 /,
    )
  })

  test.each([
    ['a number', 1],
    ['a percentage', '50%'],
  ])(
    'begins later waves while no more fail than it tolerates (%s), and is no success all the same',
    async (_, failureTolerance) => {
      const end = await pushed([['a', 'b', 'c'], ['production']], failingIn('b'), { failureTolerance })
      expect(end.started).toContain('production')
      expect(end.status).toBe('FAILED')
      expect(end.cause).toMatch(/^All waves \(2\) are through: 3 of 4 clusters succeeded, 1 failed \(b\)\./)
    },
  )

  test('stops where one more fails than it tolerates', async () => {
    const end = await pushed([['a', 'b', 'c'], ['production']], failingIn('b', 'c'), { failureTolerance: 1 })
    expect(end.started).not.toContain('production')
    expect(end.cause).toContain('2 failed (b, c)')
    expect(end.cause).toContain('tolerates 1 a wave')
  })

  test.each(['superseded', 'released'])('stops where a rollout is %s', async (outcome) => {
    const end = await pushed([['a', 'b'], ['production']], async (cluster) => (cluster === 'a' ? outcome : 'succeeded'))
    expect(end).toMatchObject({ status: 'SUCCEEDED', output: { outcome } })
    expect(end.states.at(-1)).toBe('Stopped')
    expect(end.started).not.toContain('production')
  })

  test('counts a rollout that a person stopped as failed', async () => {
    const machine = await machineFor([['a', 'b'], ['production']], async (cluster) => {
      if (cluster !== 'a') return 'succeeded'
      const [rollout] = machine.interpreter.list({ machine: 'rollout' }).filter(({ name }) => name.endsWith('.a'))
      machine.interpreter.stop(rollout?.executionArn ?? '', { cause: 'by hand' })
      return 'succeeded'
    })
    const end = await machine.push()
    expect(end.cause).toContain('1 of 2 clusters succeeded, 1 failed (a)')
    expect(end.started).not.toContain('production')
  })

  test('is started once by a delivery that comes twice at the same time', async () => {
    const machine = await machineFor([['staging']], well)
    const push = newPush()
    const both = await Promise.all([machine.push(push), machine.push(push)])
    for (const { started } of both) expect(started).toEqual(['staging'])
    await expect(machine.push(push)).rejects.toMatchObject({ code: 'ExecutionAlreadyExists' })
  })
})

describe('a wave of more clusters than a Map runs inline', () => {
  const names = clusterNames(41)

  test('of 40 runs inline, of 41 in executions of their own', async () => {
    expect((await pushed([names.slice(1)], well)).states).toContain('RolloutWave')
    const end = await pushed([names], well)
    expect(end.states).toEqual([
      'TakePush',
      'PlanWave',
      'StartWave',
      'RolloutLargeWave',
      'ConcludeWave',
      'NextWave',
      'Done',
    ])
    expect(end.started.toSorted()).toEqual(names)
    expect(end.output.message).toBe('All waves (1) are through: 41 of 41 clusters succeeded.')
  })

  test('goes on beside clusters that fail, counts them, and links every execution with the one that started it', async () => {
    const machine = await machineFor([names, ['production']], failingIn('cluster-007', 'cluster-011'))
    const end = await machine.push()
    expect(end.started).toHaveLength(41)
    expect(end.status).toBe('FAILED')
    expect(end.cause).toContain('Wave 1 of 2: 39 of 41 clusters succeeded, 2 failed (cluster-007, cluster-011)')
    const parents = new Map(machine.interpreter.list().map((each) => [each.executionArn, each.machine]))
    for (const { machine: of, input } of machine.interpreter.list()) {
      const { AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: parent } = JSON.parse(input)
      if (of === 'rollout') expect(parents.get(parent)).toBe('fleet/Wave')
      if (of === 'fleet/Wave') expect(parents.get(parent)).toBe('fleet')
    }
  })

  test.each([
    ['10%', true],
    ['9%', false],
  ])('with a tolerance of %s of 41 and 4 that fail goes on: %s', async (failureTolerance, goesOn) => {
    const end = await pushed([names, ['production']], failingIn(...names.slice(0, 4)), { failureTolerance })
    expect(end.started.includes('production')).toBe(goesOn)
  })

  test.each(['SUCCEEDED_0.json', 'manifest.json'])('does not go on where its %s is not there', async (file) => {
    const end = await meddled('ended', async (s3) => {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: 'waves' }))
      const Key = Contents.find((object) => object.Key?.endsWith(file))?.Key
      await s3.send(new DeleteObjectCommand({ Bucket: 'waves', Key }))
    })
    expect(end.started.toSorted()).toEqual(names)
    expect(end.cause).toContain('0 of 41 clusters succeeded, 41 failed (cluster-000, ')
    expect(end.cause).toContain('and 31 more')
  })

  test('does not begin where the list of its clusters is gone, and says so', async () => {
    const end = await meddled('planned', async (s3) => {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: 'waves' }))
      const Key = Contents.find((object) => object.Key?.endsWith('clusters.json'))?.Key
      await s3.send(new DeleteObjectCommand({ Bucket: 'waves', Key }))
    })
    expect(end.started).toEqual([])
    expect(end.cause).toContain('0 of 41 clusters succeeded')
    expect(end.cause).toContain('States.ItemReaderFailed')
  })

  test('has its clusters from when the push began, whatever is in the fleet by then', async () => {
    const machine = await machineFor([['staging'], names], well)
    const clusters = machine.fleet.clusters as { name: string }[]
    const ended = machine.interpreter.onStatus(({ detail }) => {
      // A deployment in the middle of the push.
      if (detail.status === 'SUCCEEDED' && detail.name.endsWith('.staging')) clusters.splice(0, clusters.length)
    })
    const end = await machine.push()
    ended()
    expect(end.started).toHaveLength(42)
  })

  async function meddled(at: 'planned' | 'ended', change: (s3: S3Client) => Promise<void>) {
    const machine = await FleetMachine.start({
      fleet: fleetOfWaves([names, ['production']]),
      rollout: well,
      meddle: async (moment, s3) => {
        if (moment === at) await change(s3)
      },
    })
    machines.push(machine)
    const end = await machine.push()
    expect(end.status).toBe('FAILED')
    expect(end.started).not.toContain('production')
    return end
  }
})

test('500 clusters in one wave keep the state of the execution far below 64 KiB', async () => {
  const names = clusterNames(500)
  const end = await pushed([['staging'], names], failingIn(...names.slice(0, 100)), { failureTolerance: '20%' })
  expect(end.started).toHaveLength(501)
  expect(end.cause).toMatch(/401 of 501 clusters succeeded, 100 failed \(cluster-000, .* and 90 more\)/)
  expect(largestState(end.history)).toBeLessThan(65_536)
  expect(statesEntered(end.history)).not.toContain('RolloutCluster')
})

test('40 clusters, with the longest names, keep it below 64 KiB as well', async () => {
  const names = Array.from({ length: 40 }, (_, index) => `${'n'.repeat(37)}-${`${index}`.padStart(2, '0')}`)
  const end = await pushed([names], failingIn(...names))
  expect(end.status).toBe('FAILED')
  expect(largestState(end.history)).toBeLessThan(65_536)
})

describe('a wave that people have to agree to', () => {
  const waves = [['staging'], ['production'], ['last']]
  const approval = { waves: { approvers: ['bob'], approvalFor: '2h' } }

  async function asking(answer: (token: string, interpreter: FleetMachine['interpreter']) => void) {
    const asked: Record<string, unknown>[] = []
    const fleet = fleetOfWaves(waves, approval) as { clusters: { name: string; approval?: string }[] }
    for (const cluster of fleet.clusters) if (cluster.name === 'production') cluster.approval = 'before'
    const machine: FleetMachine = await FleetMachine.start({
      ...{ fleet, rollout: well },
      ask: async (input) => {
        const { token, ...rest } = input as { token: string }
        asked.push(rest)
        machine.clock.after(60_000, () => answer(token, machine.interpreter))
        return { asked: 1 }
      },
    })
    machines.push(machine)
    return { end: await machine.push(), asked }
  }

  test('begins once somebody has agreed, who is told what became of those before', async () => {
    const { end, asked } = await asking((token, interpreter) => interpreter.sendTaskSuccess(token, {}))
    expect(end).toMatchObject({ status: 'SUCCEEDED', started: ['staging', 'production', 'last'] })
    expect(asked).toMatchObject([
      {
        ...{ number: 2, of: 3, clusters: 1, names: ['production'], before: { succeeded: 1, failed: 0, other: 0 } },
        execution: expect.stringMatching(/:execution:fleet:/),
      },
    ])
  })

  test('is not begun when somebody denies it, nor is a later one', async () => {
    const failure = { error: 'WaveDenied', cause: 'bob denied wave 2 of 3.' }
    const { end } = await asking((token, interpreter) => interpreter.sendTaskFailure(token, failure))
    expect(end).toMatchObject({ status: 'FAILED', started: ['staging'] })
    expect(end.cause).toBe('bob denied wave 2 of 3. Wave 2 of 3 is not begun, nor is a later one.')
    expect(end.error).toBe('WaveNotApproved')
  })

  test('is not begun when nobody decides in time', async () => {
    const { end } = await asking(() => {})
    expect(end).toMatchObject({ status: 'FAILED', started: ['staging'] })
    expect(end.cause).toContain('Nobody agreed to wave 2 of 3 in time')
    expect(end.error).toBe('WaveNotApproved')
  })

  test('is not begun where people cannot be asked, which is not a denial', async () => {
    const failure = { error: 'NotApproved', cause: 'There is nobody.' }
    const { end } = await asking((token, interpreter) => interpreter.sendTaskFailure(token, failure))
    expect(end).toMatchObject({ status: 'FAILED', started: ['staging'], error: 'WaveNotAsked' })
    expect(end.cause).toBe('There is nobody. Wave 2 of 3 is not begun, nor is a later one.')
  })
})
