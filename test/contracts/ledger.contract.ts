import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Claim, type Ledger, RolloutMoved, UnlockMoved } from '../../functions/lib/ledger/ledger.ts'
import type { Rollout } from '../../functions/lib/rollout/rollout.ts'
import { mostFindings, nextRecord } from '../../functions/lib/sweep/sweep-record.ts'
import { approvalOf } from '../fixtures/approvals.ts'
import { evidenceOf, minute, taken } from '../fixtures/lock-evidence.ts'
import { observationOf } from '../fixtures/observations.ts'
import { begunRollout } from '../fixtures/snapshot-of.ts'
import { intentOf } from '../fixtures/unlock-intent.ts'

/** Gives a ledger that is empty. */
type Setup = () => Promise<{ ledger: Ledger; close(): Promise<void> }>

/** What every implementation of the ledger does. */
export function ledgerContract(name: string, setup: Setup): void {
  describe(`ledger: ${name}`, () => {
    let ledger: Ledger
    let close = async () => {}

    beforeAll(async () => {
      const made = await setup()
      ledger = made.ledger
      close = () => made.close()
    })
    afterAll(() => close())

    const claim = (branch: string, version: number, rollout = 'a'): Claim => ({
      cluster: 'staging',
      branch,
      version,
      leaseUntil: 5,
      holder: { rollout, execution: 'arn', before: 'x', after: 'y', pushedAt: 1 },
    })

    test('a claim that was never written is undefined', async () => {
      expect(await ledger.readClaim('staging', 'nowhere')).toBeUndefined()
    })

    test('a claim is read back as it was written', async () => {
      expect(await ledger.writeClaim(claim('b1', 1))).toBe(true)
      expect(await ledger.readClaim('staging', 'b1')).toEqual(claim('b1', 1))
    })

    test('of writers that have seen the same version, one wins', async () => {
      await ledger.writeClaim(claim('b2', 1))
      const rivals = Array.from({ length: 20 }, (_, index) => ledger.writeClaim(claim('b2', 2, `r${index}`)))
      const won = (await Promise.all(rivals)).flatMap((written, index) => (written ? [index] : []))
      expect(won).toHaveLength(1)
      expect((await ledger.readClaim('staging', 'b2'))?.holder?.rollout).toBe(`r${won[0]}`)
    })

    test('of writers that have seen no claim, one wins', async () => {
      const written = await Promise.all(['x', 'y', 'z'].map((id) => ledger.writeClaim(claim('b3', 1, id))))
      expect(written.filter(Boolean)).toHaveLength(1)
    })

    test('the claims of a cluster are listed, and only those', async () => {
      await ledger.writeClaim({ ...claim('b4', 1), cluster: 'production' })
      await ledger.writeClaim({ ...claim('b5', 1), cluster: 'production' })
      expect((await ledger.listClaims('production')).map(({ branch }) => branch)).toEqual(['b4', 'b5'])
    })

    test('a rollout is read back as it was written, with its version', async () => {
      const rollout = begunRollout({ id: 'r1', notes: ['ünï'] })
      expect(await ledger.writeRollout(rollout, 0)).toBe(1)
      expect(await ledger.readRollout('r1')).toEqual({ value: rollout, version: 1 })
      expect(await ledger.readRollout('nobody')).toBeUndefined()
    })

    test('a rollout that moved on is not overwritten', async () => {
      const rollout = begunRollout({ id: 'r2' })
      await ledger.writeRollout(rollout, 0)
      await ledger.writeRollout({ ...rollout, notes: ['first'] }, 1)
      await expect(ledger.writeRollout({ ...rollout, notes: ['second'] }, 1)).rejects.toThrow(RolloutMoved)
      await expect(ledger.writeRollout(rollout, 0)).rejects.toThrow(RolloutMoved)
      expect((await ledger.readRollout('r2'))?.value.notes).toEqual(['first'])
    })

    test('what the sweeps of a cluster know is read back as it was written, and one of two writers wins', async () => {
      expect(await ledger.readSweep('swept')).toBeUndefined()
      const record = nextRecord('swept', undefined, {
        ...{ at: 5, found: [{ kind: 'stuck', object: 'Terraform/a/ünï', text: 't', next: 'n' }] },
        ...{ firstSeen: { 'GitRepository/a/b': { commit: 'c', at: 1 } }, unready: { x: { since: 2, mark: 'm' } } },
        declined: { 'GitRepository/a/b': 'd' },
      })
      expect(await Promise.all([ledger.writeSweep(record), ledger.writeSweep(record)])).toContain(false)
      expect(await ledger.readSweep('swept')).toEqual(record)
      expect(await ledger.readSweep('staging')).toBeUndefined()
      expect(await ledger.writeSweep({ ...record, version: 2, findings: [] })).toBe(true)
      expect(await ledger.writeSweep({ ...record, version: 2 })).toBe(false)
      expect((await ledger.readSweep('swept'))?.findings).toEqual([])
    })

    test('the largest record of the sweeps fits an item', async () => {
      const found = Array.from({ length: mostFindings + 1 }, (_, index) => ({
        ...{ kind: 'by-hand' as const, object: `Terraform/${randomBytes(30).toString('hex')}/${index}` },
        ...{ text: randomBytes(300).toString('hex'), next: randomBytes(50).toString('hex') },
      }))
      const objects = Array.from({ length: 3_000 }, () => `Terraform/${randomBytes(20).toString('hex')}`)
      const unready = Object.fromEntries(
        objects.map((key) => [key, { since: 1, mark: randomBytes(6).toString('hex') }]),
      )
      const told = { at: 5, found: found.toReversed(), firstSeen: {}, declined: {}, unready }
      const record = nextRecord('full', undefined, told)
      expect(record.more).toBe(1)
      // What gzip makes no smaller takes most of it: of hexadecimal digits half is left.
      expect(await ledger.writeSweep(record)).toBe(true)
      expect((await ledger.readSweep('full'))?.findings).toHaveLength(mostFindings)
    })

    test('a rollout that is larger than an item is read back whole', async () => {
      const rollout = begunRollout({ id: 'r3', objects: incompressible(4_000) })
      await ledger.writeRollout(rollout, 0)
      expect((await ledger.readRollout('r3'))?.value.objects).toEqual(rollout.objects)
    })

    test('history is the newest first, with outcomes', async () => {
      for (const [id, startedAt] of Object.entries({ h1: 1_000, h2: 3_000, h3: 2_000 })) {
        const begun = begunRollout({ id, startedAt, cluster: 'history' })
        await ledger.writeRollout(begun, 0)
        await ledger.writeRollout({ ...begun, endedAt: startedAt + 1, outcome: 'succeeded' }, 1)
      }
      const listed = await ledger.listRollouts('history', 2)
      expect(listed.map(({ id, outcome }) => [id, outcome])).toEqual([
        ['h2', 'succeeded'],
        ['h3', 'succeeded'],
      ])
    })

    test('an observation is read back as it was written, and of rivals one wins', async () => {
      const first = observationOf({ pod: 'gone' }, { key: 'o1', offences: [{ at: 5, id: 'ünï' }] })
      expect(await ledger.readObservation('o1')).toBeUndefined()
      expect(await ledger.writeObservation(first)).toBe(true)
      expect(await ledger.readObservation('o1')).toEqual(first)
      const rivals = [7, 8, 9].map((at) => ({ ...first, version: 2, announced: { verdict: 'live' as const, at } }))
      const won = await Promise.all(rivals.map((rival) => ledger.writeObservation(rival)))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(await ledger.readObservation('o1')).toEqual(rivals[won.indexOf(true)])
      expect(await ledger.writeObservation(first)).toBe(false)
    })

    test('observations are listed by cluster, or all of them', async () => {
      const { cluster: _, ...ofNone } = observationOf({}, { key: 'o3' })
      await ledger.writeObservation(observationOf({}, { key: 'o2', cluster: 'east' }))
      await ledger.writeObservation(ofNone)
      expect((await ledger.listObservations('east')).map(({ key }) => key)).toEqual(['o2'])
      expect((await ledger.listObservations()).map(({ key }) => key)).toEqual(expect.arrayContaining(['o2', 'o3']))
    })

    test('a place keeps the last observation of each verdict and rule', async () => {
      const at = (version: number, rule: string, verdictSince: number) => {
        const { judgement } = observationOf()
        const evidence = { ...evidenceOf(), at: taken + version * minute }
        return observationOf({}, { key: 'o4', version, verdictSince, evidence, judgement: { ...judgement, rule } })
      }
      const written = [at(1, 'young', 1), at(2, 'young', 1), at(3, 'holder-runs', 1), at(4, 'young', 2)]
      for (const observation of written) expect(await ledger.writeObservation(observation)).toBe(true)
      const history = await ledger.listObservationHistory('o4', 10)
      expect(history.map(({ version }) => version)).toEqual([4, 3, 2])
      expect(await ledger.listObservationHistory('o4', 1)).toEqual([written[3]])
    })

    const report = (execution: string, cluster?: string) => ({
      ...(cluster !== undefined && { cluster }),
      ...{ execution, startedAt: 1, endedAt: 2, found: 1 },
      kept: { readAt: 1, places: ['p'], unplaced: ['flux-system/vpc'] },
      findings: [{ kind: 'unlocked' as const, subject: 'Terraform/a/b', why: 'no backend' }],
    })
    const later = Date.parse('2100-01-01T00:00:00Z')

    test('one execution scans a cluster at a time, and only until its turn has run out', async () => {
      expect(await ledger.takeScan('scan1', 'a', later)).toBe(true)
      expect(await ledger.takeScan('scan1', 'b', later)).toBe(false)
      expect(await ledger.takeScan('scan1', 'a', 5)).toBe(true)
      expect(await ledger.takeScan('scan2', 'b', later)).toBe(true)
      expect(await ledger.takeScan(undefined, 'b', later)).toBe(true)
      // The turn of a ended at 5 milliseconds after the epoch.
      expect(await ledger.takeScan('scan1', 'b', later)).toBe(true)
    })

    test('the end of a scan gives its turn back and leaves a report', async () => {
      await ledger.takeScan('scan3', 'a', later)
      expect(await ledger.readScan('scan3')).toBeUndefined()
      await ledger.endScan(report('a', 'scan3'))
      expect(await ledger.readScan('scan3')).toEqual(report('a', 'scan3'))
      expect(await ledger.takeScan('scan3', 'b', later)).toBe(true)
    })

    test('a scan that ends late changes nothing', async () => {
      await ledger.takeScan('scan4', 'a', 5)
      await ledger.takeScan('scan4', 'b', later)
      await ledger.endScan(report('a', 'scan4'))
      expect(await ledger.readScan('scan4')).toBeUndefined()
      expect(await ledger.takeScan('scan4', 'c', later)).toBe(false)
    })

    test('of executions that want a turn at the same time, one gets it', async () => {
      const turns = await Promise.all(
        ['a', 'b', 'c', 'd'].map((execution) => ledger.takeScan('scan5', execution, later)),
      )
      expect(turns.filter(Boolean)).toHaveLength(1)
    })

    /** The turn of unlock `a`, with its intent. */
    const intended = async (cluster: string, leaseUntil = later) => {
      const intent = intentOf({ cluster, unlock: 'a' })
      expect(await ledger.takeUnlock({ cluster, unlock: 'a', leaseUntil })).toBe(true)
      expect(await ledger.writeIntent(intent)).toBe(true)
      return intent
    }
    const takes = (cluster: string, unlock: string) => ledger.takeUnlock({ cluster, unlock, leaseUntil: later })

    test('one unlock at a time works on a cluster, until its turn has run out or is given back', async () => {
      expect(await ledger.takeUnlock({ cluster: 'unlock1', unlock: 'a', leaseUntil: 5 })).toBe(true)
      expect(await takes('unlock1', 'b')).toBe(true)
      expect(await takes('unlock1', 'a')).toBe(false)
      expect(await takes('unlock1', 'b')).toBe(true)
      expect(await takes('unlock2', 'a')).toBe(true)
      expect(await ledger.endUnlock('unlock1', 'a')).toBe(false)
      expect(await ledger.endUnlock('unlock1', 'b')).toBe(true)
      expect(await takes('unlock1', 'a')).toBe(true)
    })

    test('of unlocks that want a turn at the same time, one gets it', async () => {
      const turns = await Promise.all(['a', 'b', 'c', 'd'].map((unlock) => takes('unlock3', unlock)))
      expect(turns.filter(Boolean)).toHaveLength(1)
    })

    test('an intent is read back as it was written, and is not written over', async () => {
      expect(await ledger.readUnlock('unlock4')).toBeUndefined()
      const intent = await intended('unlock4')
      expect((await ledger.readUnlock('unlock4'))?.intent).toEqual(intent)
      expect(await ledger.writeIntent(intent)).toBe(true)
      expect(await ledger.writeIntent({ ...intent, at: 2 })).toBe(false)
      expect((await ledger.readUnlock('unlock4'))?.intent).toEqual(intent)
    })

    test('nobody writes an intent without the turn', async () => {
      expect(await ledger.writeIntent(intentOf({ cluster: 'unlock5', unlock: 'a' }))).toBe(false)
      await takes('unlock5', 'b')
      expect(await ledger.writeIntent(intentOf({ cluster: 'unlock5', unlock: 'a' }))).toBe(false)
      expect((await ledger.readUnlock('unlock5'))?.intent).toBeUndefined()
    })

    test('an open intent keeps the turn from others, also when its unlock is dead', async () => {
      const intent = await intended('unlock6', 5)
      expect(await takes('unlock6', 'b')).toBe(false)
      expect(await ledger.endUnlock('unlock6', 'a')).toBe(false)
      expect(await takes('unlock6', 'a')).toBe(true)
      expect((await ledger.readUnlock('unlock6'))?.intent).toEqual(intent)
    })

    test('an unlock that put everything back keeps its turn until it gives it back', async () => {
      await intended('unlock7')
      expect(await ledger.closeIntent('unlock7', 'b')).toBe(false)
      expect(await ledger.closeIntent('unlock7', 'a')).toBe(true)
      expect(await ledger.closeIntent('unlock7', 'a')).toBe(true)
      expect(await takes('unlock7', 'b')).toBe(false)
      expect(await ledger.endUnlock('unlock7', 'a')).toBe(true)
      expect(await takes('unlock7', 'b')).toBe(true)
      expect((await ledger.readUnlock('unlock7'))?.intent).toBeUndefined()
    })

    test('an unlock that others put back changes nothing more, and then its turn is over', async () => {
      await takes('unlock8', 'a')
      expect(await ledger.beginRestore('unlock8', 'a')).toBe(false)
      const intent = await intended('unlock8')
      expect(await ledger.beginRestore('unlock8', 'b')).toBe(false)
      expect(await ledger.beginRestore('unlock8', 'a')).toBe(true)
      expect(await ledger.beginRestore('unlock8', 'a')).toBe(true)
      expect(await takes('unlock8', 'a')).toBe(false)
      expect(await ledger.writeIntent(intent)).toBe(false)
      expect(await ledger.closeIntent('unlock8', 'a')).toBe(true)
      expect(await takes('unlock8', 'a')).toBe(false)
      expect(await takes('unlock8', 'b')).toBe(true)
    })

    test('a turn is renewed by the unlock that has it, and by no other one', async () => {
      const renews = (unlock: string, to: 'change' | 'restore') =>
        ledger.renewUnlock({ cluster: 'unlock9', unlock, leaseUntil: later }, to)
      expect(await renews('a', 'change')).toBe(false)
      await intended('unlock9', 5)
      expect(await renews('b', 'change')).toBe(false)
      expect(await renews('a', 'change')).toBe(true)
      expect((await ledger.readUnlock('unlock9'))?.leaseUntil).toBe(later)
      await ledger.beginRestore('unlock9', 'a')
      expect([await renews('a', 'change'), await renews('a', 'restore')]).toEqual([false, true])
      await ledger.closeIntent('unlock9', 'a')
      expect([await renews('a', 'change'), await renews('a', 'restore')]).toEqual([false, false])
    })

    test('an unlock that has ended does not get its turn again', async () => {
      await takes('unlock10', 'a')
      await ledger.endUnlock('unlock10', 'a')
      expect(await takes('unlock10', 'a')).toBe(false)
      expect(await takes('unlock10', 'b')).toBe(true)
    })

    const asked = Date.parse('2026-03-02T10:00:00Z')
    const run = (unlock: string, requestedAt: number) => ({
      ...{ unlock, cluster: 'runs', place: 'a1b2', lock: 'l', requestedBy: 'ana', reason: 'ünï', requestedAt },
    })

    test('an unlock is read back as it was written, and of steps that have seen the same, one writes', async () => {
      expect(await ledger.readUnlockRun('u1')).toBeUndefined()
      const intent = intentOf({ cluster: 'runs', unlock: 'u1' })
      expect(await ledger.writeUnlockRun(run('u1', asked), 0)).toBe(1)
      expect(await ledger.writeUnlockRun({ ...run('u1', asked), intent }, 1)).toBe(2)
      expect(await ledger.readUnlockRun('u1')).toEqual({ value: { ...run('u1', asked), intent }, version: 2 })
      await expect(ledger.writeUnlockRun(run('u1', asked), 1)).rejects.toThrow(UnlockMoved)
      await expect(ledger.writeUnlockRun(run('u1', asked), 0)).rejects.toThrow(UnlockMoved)
    })

    test('the unlocks of a cluster are listed as they are now, the newest first', async () => {
      await ledger.writeUnlockRun(run('u2', asked + 2), 0)
      await ledger.writeUnlockRun(run('u3', asked + 1), 0)
      await ledger.writeUnlockRun({ ...run('u3', asked + 1), outcome: 'refused', endedAt: asked + 9 }, 1)
      const listed = await ledger.listUnlockRuns('runs', 2)
      expect(listed.map(({ unlock, outcome }) => [unlock, outcome])).toEqual([
        ['u2', undefined],
        ['u3', 'refused'],
      ])
      expect(await ledger.listUnlockRuns('nowhere', 9)).toEqual([])
    })

    test('an approval is read back as it was written, and of rivals one wins', async () => {
      expect(await ledger.readApproval('ask1')).toBeUndefined()
      const first = approvalOf({ id: 'ask1', reason: 'ünï' })
      expect(await ledger.writeApproval(first)).toBe(true)
      expect(await ledger.readApproval('ask1')).toEqual(first)
      const rivals = ['bob', 'carol'].map((by) =>
        approvalOf({ id: 'ask1', version: 2, decisions: [{ by, decision: 'approve', at: 7, reason: 'seen' }] }),
      )
      const won = await Promise.all(rivals.map((rival) => ledger.writeApproval(rival)))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(await ledger.readApproval('ask1')).toEqual(rivals[won.indexOf(true)])
      expect(await ledger.writeApproval(first)).toBe(false)
    })

    test('what people were told is written once for a version, by event and channel', async () => {
      const notice = { event: 'a rollout/held/1', channel: 'slack', version: 1, until: 5 }
      expect(await ledger.readNotice(notice.event, 'slack')).toBeUndefined()
      const written = await Promise.all([ledger.writeNotice(notice), ledger.writeNotice(notice)])
      expect(written.filter(Boolean)).toHaveLength(1)
      expect(await ledger.writeNotice({ ...notice, version: 2, sentAt: 7 })).toBe(true)
      expect(await ledger.readNotice(notice.event, 'slack')).toEqual({ ...notice, version: 2, sentAt: 7 })
      expect(await ledger.readNotice(notice.event, 'sns')).toBeUndefined()
    })

    test('statuses are read back as they were written, of a cluster and of the whole push', async () => {
      const status = { state: 'pending' as const, description: 'queued' }
      const board = {
        ...{ delivery: 'd1', cluster: 'staging', version: 1, wanted: { 'lockstep/staging/apps': status }, posted: {} },
        commit: { host: 'github.com', repository: 'my-org/fleet-infra', sha: 'a'.repeat(40) },
        ...{ bad: {}, turn: { event: 'e1', until: 9 } },
      }
      expect(await ledger.writeStatusBoard(board)).toBe(true)
      expect(await ledger.writeStatusBoard(board)).toBe(false)
      expect(await ledger.readStatusBoard('d1', 'staging')).toEqual(board)
      expect(await ledger.readStatusBoard('d1', '')).toBeUndefined()
      const whole = { ...board, cluster: '', bad: { staging: 'failed' as const }, ended: 'failed' as const }
      expect(await ledger.writeStatusBoard(whole)).toBe(true)
      expect(await ledger.readStatusBoard('d1', '')).toEqual(whole)
    })

    test('approvals are listed while they are open, or all of them', async () => {
      await ledger.writeApproval(approvalOf({ id: 'ask2' }))
      await ledger.writeApproval(approvalOf({ id: 'ask3' }))
      const names = async (those: 'open' | 'all') => {
        const ids = (await ledger.listApprovals(those)).map(({ id }) => id)
        return ids.filter((id) => ['ask2', 'ask3'].includes(id)).sort()
      }
      expect(await names('open')).toEqual(['ask2', 'ask3'])
      const closed = approvalOf({ id: 'ask2', version: 2, closed: { how: 'denied', at: 9 } })
      expect(await ledger.writeApproval(closed)).toBe(true)
      expect(await names('open')).toEqual(['ask3'])
      expect(await names('all')).toEqual(['ask2', 'ask3'])
      expect(await ledger.readApproval('ask2')).toEqual(closed)
    })
  })
}

/** What every implementation does with what happened in unlocks. It stands by itself since moto cannot do it. */
export function auditContract(name: string, setup: Setup): void {
  describe(`audit: ${name}`, () => {
    let ledger: Ledger
    let close = async () => {}

    beforeAll(async () => {
      const made = await setup()
      ledger = made.ledger
      close = () => made.close()
    })
    afterAll(() => close())

    const record = (id: string, at: number, unlock = 'audit1') => ({
      ...{ unlock, id, at, what: 'putting back', by: 'restore' },
      detail: { object: 'Deployment/a/b', from: null, list: [1, { ünï: true }] },
    })

    test('audit records are read back as they were written, oldest first, of one unlock', async () => {
      expect(await ledger.listAudit('audit1')).toEqual([])
      for (const [id, at] of [['b', 2] as const, ['a', 2] as const, ['c', 1] as const]) {
        expect(await ledger.appendAudit(record(id, at))).toBe(true)
      }
      await ledger.appendAudit(record('z', 0, 'audit2'))
      expect(await ledger.listAudit('audit1')).toEqual([record('c', 1), record('a', 2), record('b', 2)])
    })

    test('of audit records of one id that are written at the same time, one stays', async () => {
      const rivals = [1, 2, 3].map((at) => record('r', at, 'audit4'))
      const written = await Promise.all(rivals.map((rival) => ledger.appendAudit(rival)))
      expect(written.filter(Boolean)).toHaveLength(1)
      expect(await ledger.listAudit('audit4')).toEqual([rivals[written.indexOf(true)]])
    })

    test('an audit record stays as it was first written', async () => {
      expect(await ledger.appendAudit(record('x', 1, 'audit3'))).toBe(true)
      expect(await ledger.appendAudit({ ...record('x', 1, 'audit3'), what: 'something else' })).toBe(false)
      expect(await ledger.listAudit('audit3')).toEqual([record('x', 1, 'audit3')])
    })
  })
}

/** Objects that gzip cannot make small. */
function incompressible(count: number): Rollout['objects'] {
  return Array.from({ length: count }, (_, index) => ({
    key: `Terraform/ns/o${index}`,
    uid: randomBytes(100).toString('base64'),
    layer: 0,
    after: [],
    follows: 'revision',
    appliesWorkloads: false,
    gated: false,
    phase: 'pending',
    detail: randomBytes(60).toString('base64'),
    asked: 0,
  }))
}
