import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { millisecondsOf, readLockRecord } from '../../../functions/lib/locks/stores/lock-info.ts'
import { writtenRecords } from '../../fixtures/lock-records.ts'

const fields = {
  ID: '41f02d46-56c1-f301-2a82-f65b2ddf7b54',
  Operation: 'OperationTypeApply',
  Info: '',
  Who: 'root@vm',
  Version: '1.11.4',
  Created: '2026-11-21T06:26:54.888086471Z',
  Path: 'states/app/terraform.tfstate',
}
const read = (changed: object) => readLockRecord(JSON.stringify({ ...fields, ...changed }))

describe('a lock record', () => {
  it('is read, and kept as it is', () => {
    const raw = ` ${JSON.stringify(fields).replace('root', '\\u003croot\\u003e')}\n`
    expect(readLockRecord(raw)).toEqual({
      raw,
      info: {
        id: fields.ID,
        operation: 'OperationTypeApply',
        info: '',
        user: '<root>',
        host: 'vm',
        version: '1.11.4',
        created: '2026-11-21T06:26:54.888086471Z',
        createdAt: Date.UTC(2026, 10, 21, 6, 26, 54, 888),
        path: 'states/app/terraform.tfstate',
      },
    })
  })

  it.each([
    ['root@vm', 'root', 'vm'],
    ['me@corp.example@laptop', 'me@corp.example', 'laptop'],
    ['@vm', '', 'vm'],
    ['root@', 'root', ''],
    ['@', '', ''],
    ['root', 'root', ''],
    ['', '', ''],
  ])('by %j is of user %j at %j', (Who, user, host) => {
    expect(read({ Who }).info).toMatchObject({ user, host })
  })

  it('may have an operation that nobody knows, more fields, or nothing but an ID', () => {
    expect(read({ Operation: 'state-rm', Extra: [1] }).info).toMatchObject({ operation: 'state-rm' })
    expect(readLockRecord('{"ID":"1"}').info).toEqual({
      ...{ id: '1', operation: '', info: '', user: '', host: '', version: '', created: '', path: '' },
    })
  })

  it('has no time where Created is none, and says what is there', () => {
    const { info } = read({ Created: 'yesterday' })
    expect(info).toMatchObject({ created: 'yesterday' })
    expect(info).not.toHaveProperty('createdAt')
  })

  it.each([
    ['', 'is empty'],
    ['{"ID":"41f0', 'is not JSON'],
    ['\ufeff{"ID":"1"}', 'is not JSON'],
    ['null', 'is no lock record'],
    ['[]', 'is no lock record'],
    ['{"Who":"secret","Path":7}', 'is no lock record: ID, Path must be text'],
  ])('that reads %.30j %s', (raw, problem) => {
    expect(readLockRecord(raw)).toEqual({ raw, problem })
  })

  it.each(writtenRecords)('of $by is read, and kept as it is', ({ raw, operation, user, host, createdAt }) => {
    expect(readLockRecord(raw)).toMatchObject({
      raw,
      info: { operation, user, host, createdAt: Date.parse(createdAt) },
    })
  })

  it('that is too long is not kept', () => {
    const raw = `{"ID":"${'x'.repeat(300_000)}"}`
    expect(readLockRecord(raw)).toEqual({ problem: 'is too long for a lock record (300009 characters)' })
  })

  it('is never thrown at, and never lost', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (raw) => {
        const record = readLockRecord(raw)
        expect(record.raw).toBe(raw)
        expect('problem' in record).toBe(record.info === undefined)
      }),
    )
  })
})

describe('a time', () => {
  const second = Date.UTC(2026, 10, 21, 6, 26, 54)

  it.each([
    ['2026-11-21T06:26:54Z', second],
    ['2026-11-21T06:26:54.8Z', second + 800],
    ['2026-11-21T06:26:54.001Z', second + 1],
    ['2026-11-21T06:26:54.0019Z', second + 1],
    ['2026-11-21T06:26:54.999999999Z', second + 999],
    ['2026-11-21T08:26:54+02:00', second],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ])('%s is read', (time, at) => {
    expect(millisecondsOf(time)).toBe(at)
  })

  it('with any number of digits is cut to the millisecond', () => {
    const at = fc.integer({ min: Date.UTC(1970, 0, 1), max: Date.UTC(2200, 0, 1) })
    fc.assert(
      fc.property(at, fc.stringMatching(/^\d{0,6}$/), (ms, rest) => {
        expect(millisecondsOf(`${new Date(ms).toISOString().slice(0, -1)}${rest}Z`)).toBe(ms)
      }),
    )
  })

  it.each([
    '',
    'now',
    '2026-11-21',
    '2026-11-21T06:26Z',
    '2026-11-21T06:26:54',
    '2026-11-21 06:26:54Z',
    '2026-11-21T06:26:54.Z',
    '2026-11-21T06:26:54.1234567890Z',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-21T25:00:00Z',
    '2026-11-21T06:26:54Z\n',
    '0001-01-01T00:00:00Z',
  ])('%j is none', (time) => {
    expect(millisecondsOf(time)).toBeUndefined()
  })
})
