import { describe, expect, it } from 'vitest'
import {
  goTime,
  lockHeldMessage,
  newLockRecord,
  parseLockRecord,
  renderLockRecord,
} from '../../../infra/local/simulation/tofu/lock-record.ts'

const record = {
  ID: '85ef41bb-3f02-44dc-a688-abaf3cce5d71',
  Operation: 'OperationTypeApply',
  Info: '',
  Who: 'root@vpc-tf-runner',
  Version: '1.12.6',
  Created: '2026-11-21T08:13:45.801448737Z',
  Path: 'tfst/vpc/terraform.tfstate',
}

describe('a lock record', () => {
  it('is stored as compact JSON in the order that OpenTofu writes, with Go’s escapes', () => {
    expect(renderLockRecord(record)).toBe(
      '{"ID":"85ef41bb-3f02-44dc-a688-abaf3cce5d71","Operation":"OperationTypeApply","Info":"","Who":"root@vpc-tf-runner","Version":"1.12.6","Created":"2026-11-21T08:13:45.801448737Z","Path":"tfst/vpc/terraform.tfstate"}',
    )
    expect(renderLockRecord({ ...record, Who: '<&>' })).toContain('"Who":"\\u003c\\u0026\\u003e"')
    expect(parseLockRecord(renderLockRecord({ ...record, Who: '<&>' }))).toEqual({ ...record, Who: '<&>' })
  })

  it('is undefined where it is none', () => {
    expect(parseLockRecord(undefined)).toBeUndefined()
    expect(parseLockRecord('{')).toBeUndefined()
    expect(parseLockRecord('{"Who":"somebody"}')).toBeUndefined()
  })

  it('is shown in the controller’s message with Go’s time', () => {
    expect(lockHeldMessage(record)).toBe(
      'error acquiring the state lock: Lock Info:\n' +
        '  ID:        85ef41bb-3f02-44dc-a688-abaf3cce5d71\n' +
        '  Path:      tfst/vpc/terraform.tfstate\n' +
        '  Operation: OperationTypeApply\n' +
        '  Who:       root@vpc-tf-runner\n' +
        '  Version:   1.12.6\n' +
        '  Created:   2026-11-21 08:13:45.801448737 +0000 UTC\n',
    )
    expect(goTime('2026-11-21T08:13:45Z')).toBe('2026-11-21 08:13:45 +0000 UTC')
    expect(goTime('soon')).toBe('soon')
  })

  it('is made with an id of its own and the time in nanoseconds', () => {
    const made = newLockRecord('OperationTypePlan', 'runner@vpc-tf-runner', '', Date.UTC(2026, 0, 5, 9, 0, 0, 20))
    expect(made.ID).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(made.Created).toMatch(/^2026-01-05T09:00:00\.020\d{6}Z$/)
    expect(made).toMatchObject({ Operation: 'OperationTypePlan', Who: 'runner@vpc-tf-runner', Path: '', Info: '' })
  })
})
