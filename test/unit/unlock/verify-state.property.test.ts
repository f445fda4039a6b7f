import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StateEvidence } from '../../../functions/lib/locks/evidence.ts'
import type { StateBackup, StateWrite } from '../../../functions/lib/unlock/state/state-backup.ts'
import { type StateFinding, verifyState } from '../../../functions/lib/unlock/state/verify-state.ts'

const start = Date.parse('2026-11-21T08:00:00Z')
const lineage = 'L'

interface Version {
  readonly version: string
  readonly serial: number
  readonly md5: string
  readonly at: number
  readonly by: 'before' | 'run' | 'zombie'
}

/** Writers of one state: none of them looks at what is there before it writes, as OpenTofu does not. */
class World {
  readonly versions: Version[] = []
  private count = 0

  write(serial: number, at: number, by: Version['by']): void {
    const name = `v${++this.count}`
    this.versions.push({ version: name, serial, md5: `md5-${name}`, at, by })
  }

  /** As it was read: the store tells whole seconds. */
  get evidence(): StateEvidence & { exists: true } {
    return evidenceOf(this.last)
  }

  get last(): Version {
    const last = this.versions.at(-1)
    if (!last) throw new Error('the world begins with a state')
    return last
  }
}

function evidenceOf({ version, serial, md5, at }: Version): StateEvidence & { exists: true } {
  return { exists: true, version, serial, lineage, md5, sizeBytes: 9, modifiedAt: second(at) }
}

function writeOf({ version, serial, md5, at }: Version): StateWrite {
  return { version, serial, lineage, md5, sizeBytes: 9, at: second(at), deleted: false }
}

function second(at: number): number {
  return Math.floor(at / 1000) * 1000
}

const moment = (min: number, max: number) => fc.integer({ min: min * 1000, max: max * 1000 - 1 })

/** The lock is deleted at 10 s, the fresh run let go at 20 s, and it has ended at 60 s. */
const story = fc.record({
  serial: fc.integer({ min: 3, max: 5 }),
  /** Empty: it had only something to plan. */
  runWrites: fc.array(moment(20, 60), { maxLength: 3 }),
  /** How far its memory is behind the state: it may have read it long ago. */
  behind: fc.integer({ min: 0, max: 2 }),
  zombieWrites: fc.array(moment(10, 80), { maxLength: 3 }),
  keepsVersions: fc.boolean(),
})
type Story = typeof story extends fc.Arbitrary<infer Told> ? Told : never

interface Told {
  readonly world: World
  readonly findings: StateFinding[]
  /** What the zombie wrote before the fresh run read the state. */
  readonly isSeenBefore: boolean
}

function tell({ serial, runWrites, behind, zombieWrites, keepsVersions }: Story): Told {
  const world = new World()
  world.write(serial, 0, 'before')
  const first = evidenceOf(world.last)
  const backup = backupOf(world.last)
  const held: StateEvidence[] = [world.evidence]
  let runSerial = serial
  let zombieSerial = serial - behind
  const letGo = () => {
    held.push(world.evidence)
    runSerial = world.last.serial
  }
  const acts = [
    ...zombieWrites.map((at) => ({ at, act: () => world.write(++zombieSerial, start + at, 'zombie') })),
    ...runWrites.map((at) => ({ at, act: () => world.write(++runSerial, start + at, 'run') })),
    { at: 19_999.5, act: letGo },
  ]
  for (const { act } of acts.sort((a, b) => a.at - b.at)) act()
  const since = keepsVersions
    ? world.versions.slice(1)
    : [world.last].filter(({ version }) => version !== first.version)
  const findings = verifyState({
    ...{ state: 's3://states/app.tfstate', backup, held, writes: since.map(writeOf), now: world.evidence },
    freshRun: { from: start + 20_000, until: start + 60_000, applied: runWrites.length > 0 },
  })
  return { world, findings, isSeenBefore: zombieWrites.some((at) => at < 20_000) }
}

function backupOf({ version, serial, md5 }: Version): StateBackup {
  const place = { region: 'eu-west-1', bucket: 'states', key: 'app.tfstate' }
  const content = { serial, lineage, md5, sizeBytes: 9, modifiedAt: 0, at: start }
  return { kind: 's3-version', ...place, versionId: version, etag: '"e"', ...content }
}

test('without anybody else nothing is found', () => {
  fc.assert(
    fc.property(story, (told) => {
      expect(tell({ ...told, zombieWrites: [] }).findings).toEqual([])
    }),
    { numRuns: 2_000 },
  )
})

test('with versions, a holder that was not dead is always found when it writes', () => {
  fc.assert(
    fc.property(story, (told) => {
      const { world, findings } = tell({ ...told, keepsVersions: true })
      const wrote = world.versions.some(({ by }) => by === 'zombie')
      expect(findings.length > 0).toBe(wrote)
    }),
    { numRuns: 5_000 },
  )
})

test('without versions it is found by what it has left, and by what was read before the fresh run', () => {
  fc.assert(
    fc.property(story, (told) => {
      const { world, findings, isSeenBefore } = tell({ ...told, keepsVersions: false })
      const { by, at, serial } = world.last
      const onlyPlanned = told.runWrites.length === 0
      const isAfter = second(at) > start + 60_000
      const isLeft = by === 'zombie' && (onlyPlanned || isAfter || serial <= told.serial)
      expect(findings.length > 0).toBe(isSeenBefore || isLeft)
    }),
    { numRuns: 5_000 },
  )
})
