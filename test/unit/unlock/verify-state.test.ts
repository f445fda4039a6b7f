import { describe, expect, it } from 'vitest'
import type { StateEvidence } from '../../../functions/lib/locks/evidence.ts'
import type { StateBackup, StateWrite } from '../../../functions/lib/unlock/state/state-backup.ts'
import { type StateHistory, verifyState } from '../../../functions/lib/unlock/state/verify-state.ts'

const start = Date.parse('2026-11-21T08:00:00Z')
/** Seconds after the start; the lock is deleted after 10. */
const at = (seconds: number) => start + seconds * 1000
const lineage = 'L'

type Content = { serial?: number; lineage?: string; md5?: string }
const content = (serial: number, more: Content = {}) => ({
  serial,
  lineage,
  md5: `md5-${serial}`,
  sizeBytes: 9,
  ...more,
})

const place = { region: 'eu-west-1', bucket: 'states', key: 'app.tfstate' }
const backup = {
  ...{ kind: 's3-version', ...place, versionId: 'v3', etag: '"e3"', ...content(3) },
  ...{ modifiedAt: at(0), at: at(9) },
} as const satisfies StateBackup
const none: StateBackup = { kind: 'none', at: at(9) }

const evidence = (version: string, serial: number, seconds: number, more: Content = {}): StateEvidence => ({
  ...{ exists: true, version, ...content(serial, more), modifiedAt: at(seconds) },
})
const unmoved = evidence('v3', 3, 0)
const absent: StateEvidence = { exists: false }
const write = (version: string, serial: number, seconds: number, more: Content = {}): StateWrite => ({
  ...{ version, at: at(seconds), deleted: false, ...content(serial, more) },
})
const marker = (version: string, seconds: number): StateWrite => ({ version, at: at(seconds), deleted: true })
const without = (write: StateWrite, ...fields: (keyof StateWrite)[]): StateWrite =>
  Object.fromEntries(Object.entries(write).filter(([name]) => !fields.some((field) => field === name))) as never

/** Let go after 20 s, ended after 60; it has applied. */
const history = (more: Partial<StateHistory>): StateHistory => ({
  ...{ state: 's3://states/app.tfstate', backup, held: [unmoved], writes: [], now: unmoved },
  ...{ freshRun: { from: at(20), until: at(60), applied: true }, ...more },
})
const planned = { from: at(20), until: at(60), applied: false }
const found = (more: Partial<StateHistory>) =>
  verifyState(history(more)).map(({ rule, versions }) => [rule, ...versions].join(' '))

describe('nothing is found', () => {
  it.each<[string, Partial<StateHistory>]>([
    ['when nothing was written', {}],
    ['when nothing was written and it only planned', { freshRun: planned }],
    ['when the fresh run wrote', { writes: [write('v4', 4, 30), write('v5', 5, 50)], now: evidence('v5', 5, 50) }],
    ['when it skipped serials', { writes: [write('v9', 9, 30)], now: evidence('v9', 9, 30) }],
    [
      'when it wrote in the second in which it was let go',
      { writes: [write('v4', 4, 20)], now: evidence('v4', 4, 20) },
    ],
    ['while it is at work', { writes: [write('v4', 4, 90)], freshRun: { from: at(20), applied: true } }],
    ['when it wrote after the writes were asked for', { now: evidence('v4', 4, 50) }],
    ['when the same was written under another version', { held: [evidence('v3b', 3, 0)], now: evidence('v3b', 3, 0) }],
    ['when a state was never there', { backup: none, held: [absent], now: absent }],
    ['when one was born', { backup: none, held: [absent], writes: [write('v1', 1, 30)], now: evidence('v1', 1, 30) }],
    [
      'when a plan made an empty one',
      { backup: none, held: [absent], writes: [write('v1', 1, 30)], now: evidence('v1', 1, 30), freshRun: planned },
    ],
    ['when the store does not tell when the fresh run wrote', { writes: [without(write('v4', 4, 0), 'at')] }],
  ])('%s', (_, more) => expect(verifyState(history(more))).toEqual([]))

  it('of a state that could never be looked into, by the times alone', () => {
    const { serial: _, lineage: __, md5: ___, ...large } = backup
    const next = without(write('v4', 4, 30), 'serial', 'lineage', 'md5')
    const now: StateEvidence = { exists: true, version: 'v4', sizeBytes: 9, modifiedAt: at(30) }
    const held: StateEvidence[] = [{ exists: true, version: 'v3', sizeBytes: 9 }]
    expect(found({ backup: large, held, writes: [next], now })).toEqual([])
    expect(found({ backup: large, held, writes: [{ ...next, at: at(12) }], now })).toEqual(['written-by-others v4'])
  })
})

describe('a write by somebody else is found', () => {
  it.each<[string, Partial<StateHistory>, string[]]>([
    ['before the fresh run', { writes: [write('v4', 4, 15)], now: evidence('v4', 4, 15) }, ['written-by-others v4']],
    [
      'before the fresh run, which went on from it',
      { writes: [write('v4', 4, 15), write('v5', 5, 30)], now: evidence('v5', 5, 30) },
      ['written-by-others v4'],
    ],
    ['after the fresh run', { writes: [write('v4', 4, 61)], now: evidence('v4', 4, 61) }, ['written-by-others v4']],
    ['while it planned', { now: evidence('v4', 4, 30), freshRun: planned }, ['written-by-others v4']],
    [
      'while it planned, where that is not told',
      { writes: [without(write('v4', 4, 0), 'at')], now: evidence('v4', 4, 0), freshRun: planned },
      ['written-by-others v4'],
    ],
    [
      'after the delete, in what was read then',
      { held: [evidence('v4', 4, 11)], now: evidence('v4', 4, 11) },
      ['written-by-others v4'],
    ],
    [
      'before the fresh run, in what was read last, though that is written over',
      { held: [unmoved, evidence('e4', 4, 15)], writes: [write('e5', 5, 30)], now: evidence('e5', 5, 30) },
      ['written-by-others e4'],
    ],
    [
      'in the birth of a state',
      { backup: none, held: [evidence('v1', 1, 11)], now: evidence('v1', 1, 11) },
      ['written-by-others v1'],
    ],
    [
      'after its birth by a plan',
      {
        backup: none,
        held: [absent],
        writes: [write('v1', 1, 30), write('v2', 2, 40)],
        now: evidence('v2', 2, 40),
        freshRun: planned,
      },
      ['written-by-others v2'],
    ],
  ])('%s', (_, more, expected) => {
    const findings = found(more)
    expect(findings).toEqual(expected)
  })

  it('and told once, with the versions, the times and the backup', () => {
    const writes = [11, 12, 13, 14].map((seconds, index) => write(`v${index + 4}`, index + 4, seconds))
    const [finding] = verifyState(history({ writes, now: evidence('v7', 7, 14) }))
    expect(finding?.message).toContain('version v4 at 2026-11-21T08:00:11.000Z before the fresh run was let go')
    expect(finding?.message).toMatch(/and 1 more\.$/)
    expect(finding?.message).toContain('s3://states/app.tfstate')
    expect(finding?.next).toContain('version v3 of s3://states/app.tfstate')
    expect(finding?.versions).toEqual(['v4', 'v5', 'v6', 'v7'])
  })
})

describe('beside the fresh run', () => {
  it.each<[string, Partial<StateHistory>, string[]]>([
    [
      'two that wrote one serial are found',
      {
        writes: [write('a4', 4, 30, { md5: 'a' }), write('b4', 4, 40, { md5: 'b' })],
        now: evidence('b4', 4, 40, { md5: 'b' }),
      },
      ['two-of-one-serial a4 b4'],
    ],
    [
      'so is one that wrote the serial of the backup again',
      { writes: [write('b3', 3, 30, { md5: 'b' })], now: evidence('b3', 3, 30, { md5: 'b' }) },
      ['two-of-one-serial v3 b3'],
    ],
    ['and one that is read now only', { now: evidence('b3', 3, 30, { md5: 'b' }) }, ['two-of-one-serial v3 b3']],
    [
      'an older serial is found, and so are all after it until it has caught up',
      {
        writes: [write('v5', 5, 30), write('v2', 2, 40), write('v4', 4, 45), write('v6', 6, 50)],
        now: evidence('v6', 6, 50),
      },
      ['serial-went-back v2 v4'],
    ],
    [
      'another lineage is found',
      { writes: [write('x4', 4, 30, { lineage: 'X' })], now: evidence('x4', 4, 30, { lineage: 'X' }) },
      ['another-lineage x4'],
    ],
    [
      'also after a birth',
      {
        ...{ backup: none, held: [absent], writes: [write('v1', 1, 30), write('x2', 2, 40, { lineage: 'X' })] },
        now: evidence('x2', 2, 40, { lineage: 'X' }),
      },
      ['another-lineage x2'],
    ],
    [
      'what is no state is found',
      { writes: [without(write('v4', 4, 30), 'serial')], now: unmoved },
      ['not-readable v4'],
    ],
    [
      'what could not be read is found',
      { writes: [without(write('v4', 4, 30), 'md5')], now: unmoved },
      ['not-readable v4'],
    ],
    [
      'and after a birth',
      { backup: none, held: [absent], writes: [without(write('v1', 1, 30), 'lineage')], now: evidence('v1', 1, 30) },
      ['not-readable v1'],
    ],
  ])('%s', (_, more, expected) => expect(found(more)).toEqual(expected))

  it('two states of one serial are named with it', () => {
    const writes = [write('b3', 3, 30, { md5: 'b' })]
    const [finding] = verifyState(history({ writes, now: evidence('b3', 3, 30, { md5: 'b' }) }))
    expect(finding?.message).toContain('version v3 (serial 3), version b3 (serial 3)')
  })
})

describe('a state that was deleted is found', () => {
  it.each<[string, Partial<StateHistory>, string[]]>([
    ['when it is gone', { now: absent }, ['deleted']],
    ['when it was gone once', { held: [unmoved, absent], writes: [write('v4', 4, 30)] }, ['deleted']],
    ['by its delete marker', { writes: [marker('m', 15)], now: absent }, ['deleted m']],
    [
      'by its delete marker, although there is another one',
      { writes: [marker('m', 30), write('v4', 4, 40)], now: evidence('v4', 4, 40) },
      ['deleted m'],
    ],
    ['after its birth', { backup: none, held: [absent], writes: [write('v1', 1, 30)], now: absent }, ['deleted']],
  ])('%s', (_, more, expected) => expect(found(more)).toEqual(expected))
})

it('findings hold neither lineage nor MD5', () => {
  const md5 = 'b'.repeat(32)
  const writes = [write('x3', 3, 15, { md5, lineage: 'another-lineage-of-all' }), write('v2', 2, 80), marker('m', 90)]
  const findings = verifyState(history({ writes, now: absent }))
  expect(findings.map(({ rule }) => rule)).toEqual([
    ...['written-by-others', 'deleted', 'another-lineage', 'serial-went-back', 'two-of-one-serial'],
  ])
  expect(JSON.stringify(findings)).not.toContain(md5)
  expect(JSON.stringify(findings)).not.toContain('another-lineage-of-all')
})
