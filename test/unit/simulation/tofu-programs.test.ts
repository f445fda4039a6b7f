import { describe, expect, it } from 'vitest'
import { lockHeldMessage } from '../../../infra/local/simulation/tofu/lock-record.ts'
import { mergePatch } from '../../e2e/tofu/merge-patch.ts'
import { lockInfo } from '../../e2e/tofu/process-tofu.ts'
import { durationFlag, flagsOf } from '../../e2e/tofu/program-environment.ts'

/** What the programs of test/e2e/tofu are made of, as far as it needs no cluster. */

describe('a merge patch', () => {
  it('says what is new, what is other, and what is gone', () => {
    const before = { a: 1, b: { c: 1, d: 2 }, e: [1], f: 'x' }
    const after = { a: 1, b: { c: 1, d: 3 }, e: [1, 2], g: { h: 1 } }
    expect(mergePatch(before, after)).toEqual({ b: { d: 3 }, e: [1, 2], f: null, g: { h: 1 } })
  })

  it('is none where nothing changed, or where a field is undefined in both', () => {
    expect(mergePatch({ a: { b: [1] } }, { a: { b: [1] } })).toBeUndefined()
    expect(mergePatch({}, { a: undefined })).toBeUndefined()
  })
})

describe('the lock in what tofu writes', () => {
  const errors = `
Error: Error acquiring the state lock

Error message: the state is already locked by another terraform client
Lock Info:
  ID:        48bb0fd9-f625-b131-a36a-08c05783a04f
  Path:      
  Operation: OperationTypeApply
  Who:       root@vpc-tf-runner
  Version:   1.12.6
  Created:   2026-11-21 08:17:56.768594323 +0000 UTC
  Info:      


OpenTofu acquires a state lock to protect the state from being written
`

  it('is found, and told as the controller does', () => {
    const holder = lockInfo(errors)
    expect(holder).toEqual({
      ID: '48bb0fd9-f625-b131-a36a-08c05783a04f',
      Path: '',
      Operation: 'OperationTypeApply',
      Who: 'root@vpc-tf-runner',
      Version: '1.12.6',
      Created: '2026-11-21 08:17:56.768594323 +0000 UTC',
      Info: '',
    })
    expect(holder && lockHeldMessage(holder)).toContain('  Created:   2026-11-21 08:17:56.768594323 +0000 UTC\n')
  })

  it('is none in other errors', () => {
    expect(lockInfo('Error: Saved plan is stale')).toBeUndefined()
  })
})

describe('flags', () => {
  it('are read in both forms; unknown ones do no harm', () => {
    const args = [
      '--grpc-port',
      '3000',
      '--graceful-shutdown-timeout=10s',
      '--events-addr=',
      '--enable-leader-election=false',
    ]
    const flags = flagsOf(args, ['grpc-port', 'graceful-shutdown-timeout'])
    expect(flags.get('grpc-port')).toBe('3000')
    expect(durationFlag(flags, 'graceful-shutdown-timeout', 1)).toBe(10_000)
    expect(durationFlag(flags, 'runner-creation-timeout', 1)).toBe(1)
  })
})
