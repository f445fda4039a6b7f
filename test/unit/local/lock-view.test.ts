import { describe, expect, it } from 'vitest'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { exitCodeOf, exitCodeOfAll } from '../../../infra/local/locks/exit-code.ts'
import { explainLines, listLines, showLines } from '../../../infra/local/locks/lock-text.ts'
import { type LockFinding, LockViews } from '../../../infra/local/views/lock-view.ts'
import { deadFor, evidenceOf, limits, minute, taken } from '../../fixtures/lock-evidence.ts'
import { observationOf } from '../../fixtures/lock-observation.ts'

const now = taken + 121 * minute
const clock = { now: () => now, after: () => () => {} }

interface Known {
  readonly observations?: readonly Observation[]
  readonly findings?: readonly LockFinding[]
  /** When the scans of cluster and of the rest have ended; default: a minute and two ago. */
  readonly scanned?: readonly (number | undefined)[]
}

function viewsOf({ observations = [], findings = [], scanned = [now - 2 * minute, now - minute] }: Known): LockViews {
  const ledger = {
    listObservations: async () => observations,
    readObservation: async (key: string) => observations.find((observation) => observation.key === key),
    readScan: async (cluster: string | undefined) => {
      const endedAt = scanned[cluster === undefined ? 1 : 0]
      return endedAt === undefined ? undefined : { endedAt, findings: cluster === undefined ? [] : findings }
    },
  }
  return new LockViews({
    ledger,
    fleet: { clusters: [{ name: 'staging' }], locks: { ...limits, every: 2 * minute } },
    clock,
  })
}

const live = observationOf(evidenceOf(), 'live')
const stale = observationOf(evidenceOf({ pod: 'gone', sight: deadFor(10) }), 'stale')
const unknown = observationOf(evidenceOf({ pod: 'unknown' }), 'unknown')
const free = observationOf(evidenceOf({ lock: { parts: [] } }), 'free')
const garbage = { ...evidenceOf({ lock: { problem: 'is not JSON' } }), owner: undefined }
const { record: _, ...unreadable } = garbage.lock
const orphaned = observationOf({ ...garbage, lock: unreadable }, 'garbage')

const answerOf = async (known: Known) => ({ now, speed: 1, ...(await viewsOf(known).list()) })

describe('the list of locks', () => {
  it('begins with what needs a person, and leaves out what is free', async () => {
    const { locks } = await viewsOf({ observations: [live, free, unknown, stale] }).list()
    expect(locks.map(({ verdict }) => verdict)).toEqual(['stale', 'unknown', 'live'])
    expect(locks[0]).toMatchObject({
      ...{ key: stale.key, id: '6b1f0c9e-0000-4a55-9d0e-1f2e3d4c5b6a', cluster: 'staging' },
      ...{ object: 'Terraform/flux-system/vpc', who: 'runner@vpc-tf-runner', operation: 'OperationTypeApply' },
      ...{ rule: 'holder-dead', scene: 'silent ghost', since: stale.verdictSince },
    })
  })

  it('tells of the scan that is the longest ago, and of none while one of them has not ended', async () => {
    expect((await viewsOf({}).list()).scannedAt).toBe(now - 2 * minute)
    expect((await viewsOf({ scanned: [now] }).list()).scannedAt).toBeUndefined()
  })

  it('is overdue when no scan has ended for three times as long as they are apart, and then nothing can be told', async () => {
    const late = (minutes: number) => viewsOf({ scanned: [now - minutes * minute, now] }).list()
    expect(await late(6)).toMatchObject({ overdue: false })
    expect(await late(7)).toMatchObject({ overdue: true })
    expect(exitCodeOfAll(await late(6))).toBe(0)
    expect(exitCodeOfAll(await late(7))).toBe(2)
    const answer = { now, speed: 1, ...(await late(7)) }
    expect(listLines(answer).join()).toContain('although one should have')
  })

  it('is a table on a terminal', async () => {
    expect(listLines(await answerOf({ observations: [live, stale, orphaned] }))).toEqual([
      'VERDICT  FOR  LOCK      OF                                            HELD BY               OPERATION',
      'stale    1m   6b1f0c9e  Terraform/flux-system/vpc in staging          runner@vpc-tf-runner  an apply',
      'unknown  1m   -         fleet/vpc.tfstate in table locks (eu-west-1)  -                     -',
      'live     1m   6b1f0c9e  Terraform/flux-system/vpc in staging          runner@vpc-tf-runner  an apply',
      '',
      'Looked at 2m ago.',
      'Why: npm run locks -- explain ID',
    ])
  })

  it('names what could not be looked at', async () => {
    const findings = [{ kind: 'store', subject: 'S3 bucket states', why: 'it is in another region' }]
    const lines = listLines(await answerOf({ findings }))
    expect(lines).toContain('No lock is held.')
    expect(lines).toContain('  S3 bucket states in staging: it is in another region')
  })

  it('prints no escape sequences, whatever a lock says', async () => {
    const evil = observationOf(evidenceOf({ record: { host: '\u001b[2J\nstale', user: 'x' } }), 'evil')
    const answer = await answerOf({ observations: [evil] })
    const lock = await viewsOf({ observations: [evil] }).get(evil.key)
    if (!lock) throw new Error('there is no view')
    const lines = [
      ...listLines(answer),
      ...showLines({ now, speed: 1, lock }),
      ...explainLines({ now, speed: 1, lock }),
    ]
    expect(lines.join('').match(/\p{C}/u)).toBeNull()
    expect(lines.join('')).toContain('x@?[2J stale')
  })
})

describe('one lock', () => {
  it('comes with its explanation and with what was observed', async () => {
    const lock = await viewsOf({ observations: [stale] }).get(stale.key)
    if (!lock) throw new Error('there is no view')
    const { state, ...evidence } = lock.observation.evidence
    expect(stale.evidence).toMatchObject(evidence)
    expect(state.reading).toMatchObject({ value: { serial: 7 } })
    const shown = showLines({ now, speed: 1, lock })
    expect(shown).toContain('Verdict  stale, a silent ghost, for 1m')
    expect(shown).toContain('Object   Terraform/flux-system/vpc in staging')
    const lines = explainLines({ now, speed: 1, lock })
    expect(lines[0]).toContain('is locked by runner@vpc-tf-runner for an apply')
    expect(lines.at(-3)).toMatch(/^Next: Unlock it under guard/)
    expect(lines.at(-1)).toMatch(/^Looked at \S+ ago.$/)
  })

  it('comes without the digest of its state', async () => {
    const md5 = 'd41d8cd98f00b204e9800998ecf8427e'
    const observation = observationOf(evidenceOf({ state: { md5 } }), 'digested')
    expect(JSON.stringify(observation)).toContain(md5)
    expect(JSON.stringify(await viewsOf({ observations: [observation] }).get(observation.key))).not.toContain(md5)
  })

  it('is not there where no scan has looked', async () => {
    expect(await viewsOf({}).get('0123456789abcdef')).toBeUndefined()
  })
})

describe('the exit code', () => {
  it.each([
    ['no lock', {}, 0],
    ['a live one', { observations: [live] }, 0],
    ['a stale one', { observations: [live, stale] }, 1],
    ['one that cannot be told', { observations: [live, unknown] }, 2],
    ['both', { observations: [unknown, stale] }, 1],
    ['no scan yet', { scanned: [] }, 2],
    ['a store that could not be asked', { findings: [{ kind: 'store', subject: 'S3 bucket a', why: '' }] }, 2],
    ['a backend without locks', { findings: [{ kind: 'unlocked', subject: 'Terraform/a/b', why: '' }] }, 0],
  ])('of a list with %s', async (_what, known, code) => {
    expect(exitCodeOfAll(await viewsOf(known).list())).toBe(code)
  })

  it('of a lock is by its verdict', () => {
    expect((['free', 'live', 'suspect', 'stale', 'unknown'] as const).map(exitCodeOf)).toEqual([0, 0, 1, 1, 2])
  })
})
