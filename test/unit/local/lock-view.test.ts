import { describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { refusal } from '../../../functions/lib/unlock/plan/refusal.ts'
import { planUnlock } from '../../../functions/lib/unlock/plan/unlock-plan.ts'
import { exitCodeOf, exitCodeOfAll, exitCodeOfPlan } from '../../../infra/local/locks/exit-code.ts'
import { explainLines, listLines, showLines, unlockLines } from '../../../infra/local/locks/lock-text.ts'
import { type LockFinding, LockViews } from '../../../infra/local/views/lock-view.ts'
import { nowOf } from '../../fixtures/cluster-now.ts'
import { deadFor, evidenceOf, limits, minute, taken } from '../../fixtures/lock-evidence.ts'
import { judgedAs } from '../../fixtures/observations.ts'

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

const live = judgedAs(evidenceOf(), { key: 'live' })
const stale = judgedAs(evidenceOf({ pod: 'gone', sight: deadFor(10) }), { key: 'stale' })
const unknown = judgedAs(evidenceOf({ pod: 'unknown' }), { key: 'unknown' })
const free = judgedAs(evidenceOf({ lock: { parts: [] } }), { key: 'free' })
const garbage = { ...evidenceOf({ lock: { problem: 'is not JSON' } }), owner: undefined }
const { record: _, ...unreadable } = garbage.lock
const orphaned = judgedAs({ ...garbage, lock: unreadable }, { key: 'garbage' })

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
    const evil = judgedAs(evidenceOf({ record: { host: '\u001b[2J\nstale', user: 'x' } }), { key: 'evil' })
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
    const observation = judgedAs(evidenceOf({ state: { md5 } }), { key: 'digested' })
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

describe('what an unlock would do', () => {
  const fleet = parseFleet({
    repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
  })
  const answerOfPlan = (observation: Observation, now: Parameters<typeof nowOf>[0] = {}) => {
    const plan = planUnlock(observation, { fleet, now: nowOf(now), ghosts: new Set() })
    return {
      now: taken + 121 * minute,
      speed: 1,
      unlock: { key: observation.key, seenAt: observation.evidence.at, plan },
    }
  }

  it('is told step by step', () => {
    const lines = unlockLines(answerOfPlan(stale, { object: { suspended: true, pendingPlan: '' } }))
    expect(lines).toEqual([
      'To unlock Terraform/flux-system/vpc in staging, lock 6b1f0c9e-0000-4a55-9d0e-1f2e3d4c5b6a:',
      '',
      'Rung       quiesce: only the end of tofu-controller ends the run that hangs',
      '           not controller-assisted: the object is suspended: the controller does not run it',
      '           not targeted: a run of the object hangs in tofu-controller until that is stopped, which takes 4m',
      'Approvals  1 person beside whoever asks: the policy of locks of kind apply in test is one-approval',
      'Time       at least 4m, given up after 10m10s of waiting',
      '',
      ' 1. Deployment/flux-system/tofu-controller: metadata.annotations[lockstep.dev/unlock] none -> what is changed, and how it was (whoever finds it can put everything back)',
      ' 2. HelmRelease/flux-system/tofu-controller: spec.suspend false -> true (it would put back what is changed below)',
      ' 3. Deployment/flux-system/tofu-controller: spec.replicas 1 -> 0 (its end is what ends its runs)',
      ' 4. Wait for tofu-controller-1 (UID c-1) of Deployment/flux-system/tofu-controller to be gone, with the whole graceful shutdown: a run of it hangs (4m at least, 5m10s at most).',
      ' 5. The lock is judged again: it goes on only if it is stale, and the very lock that was judged.',
      ' 6. The state is backed up, with its version, serial and lineage.',
      ' 7. fleet/vpc.tfstate in table locks (eu-west-1): lock 6b1f0c9e-0000-4a55-9d0e-1f2e3d4c5b6a -> none (only if it is exactly what was judged)',
      ' 8. Terraform/flux-system/vpc: status.conditions[Ready] Unknown Progressing -> False ReplanRequested (the next run plans afresh)',
      ' 9. Terraform/flux-system/vpc: status.lastPlannedRevision main@1 -> "" (the next run plans afresh)',
      '10. Terraform/flux-system/vpc: status.lastAttemptedRevision main@1 -> "" (the next run plans afresh)',
      '11. Deployment/flux-system/tofu-controller: spec.replicas 0 -> 1 (as it was)',
      '12. Wait for 1 of 1 replicas of Deployment/flux-system/tofu-controller to be ready (5m at most).',
      '13. HelmRelease/flux-system/tofu-controller: spec.suspend true -> false (as it was)',
      '14. Deployment/flux-system/tofu-controller: metadata.annotations[lockstep.dev/unlock] what is changed, and how it was -> none (everything is as it was)',
      '',
      'Note: As it is nobody can agree to it: locks.approvers of the fleet names nobody, and without approval it is refused.',
      'Note: Terraform/flux-system/vpc is suspended, and stays so: it plans afresh when it is resumed.',
      '',
      'The lock was looked at 1m ago. Nothing was changed: this is a dry run.',
    ])
  })

  it('is a reason where it is refused, safe to print', () => {
    const answer = answerOfPlan(live)
    expect(unlockLines(answer)[0]).toBe('Refused (rule live):')
    const refused = refusal('live', ['it is \u001b[31mred'], 'Wait.')
    expect(unlockLines({ ...answer, unlock: { ...answer.unlock, plan: refused } })[1]).toBe('  - it is ?[31mred')
  })

  it('ends with 0 for a plan, 1 for a refusal, and 2 where it cannot be told', () => {
    expect(exitCodeOfPlan(answerOfPlan(stale).unlock.plan)).toBe(0)
    expect(exitCodeOfPlan(answerOfPlan(live).unlock.plan)).toBe(1)
    expect(exitCodeOfPlan(answerOfPlan(unknown).unlock.plan)).toBe(2)
    expect(exitCodeOfPlan(answerOfPlan(stale, { object: 'unknown' }).unlock.plan)).toBe(2)
  })
})
