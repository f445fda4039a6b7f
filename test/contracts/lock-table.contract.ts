import { randomUUID } from 'node:crypto'
import { ConditionalCheckFailedException, ResourceNotFoundException } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LockTable } from './lock-table.ts'

export interface DynamoDbSetup {
  readonly url: string
  close(): Promise<void>
}

/** What DynamoDB has to do for the locks of OpenTofu's S3 backend, and for whoever breaks one. */
export function lockTableContract(name: string, setup: () => Promise<DynamoDbSetup>): void {
  describe(`lock table: ${name}`, () => {
    let server: DynamoDbSetup
    let table: LockTable
    let lockId: string

    beforeAll(async () => {
      server = await setup()
      table = new LockTable(server.url, `locks-${randomUUID()}`)
      await table.create()
    })
    afterAll(async () => {
      table.close()
      await server.close()
    })
    beforeEach(() => {
      lockId = `bucket/${randomUUID()}/terraform.tfstate`
    })

    /** As OpenTofu writes it: with escapes that are lost when it is parsed and written again. */
    const record = (id: string) =>
      `{"ID":"${id}","Operation":"OperationTypeApply","Info":"\\u003ctest\\u003e","Who":"ünï@host","Version":"1.12.6","Created":"2026-11-21T06:26:54.888086471Z","Path":"${lockId}"}`
    const unmet = ConditionalCheckFailedException
    const succeeded = (results: readonly PromiseSettledResult<unknown>[]) =>
      results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
    const reasons = (results: readonly PromiseSettledResult<unknown>[]) =>
      results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))

    test('a lock is taken by one of many that race', async () => {
      const rivals = Array.from({ length: 20 }, (_, index) => table.take(lockId, record(`holder ${index}`)))
      const results = await Promise.allSettled(rivals)
      const won = succeeded(results)
      expect(won).toHaveLength(1)
      for (const reason of reasons(results)) expect(reason).toBeInstanceOf(unmet)
      expect((await table.read(lockId))?.info).toBe(record(`holder ${won[0]}`))
    })

    test('a lock that is held is not taken', async () => {
      await table.take(lockId, record('first'))
      await expect(table.take(lockId, record('second'))).rejects.toThrow(unmet)
      expect((await table.read(lockId))?.info).toBe(record('first'))
    })

    test('a record is read back byte for byte', async () => {
      await table.take(lockId, record('first'))
      expect(await table.read(lockId)).toEqual({ lockId, info: record('first') })
      expect(await table.read('bucket/nothing')).toBeUndefined()
    })

    test('a lock is broken only with its exact record', async () => {
      await table.take(lockId, record('first'))
      const offByOne = [record('First'), `${record('first')} `, record('first').slice(0, -1)]
      for (const info of [...offByOne, JSON.stringify(JSON.parse(record('first')))]) {
        await expect(table.break(lockId, info)).rejects.toThrow(unmet)
      }
      expect((await table.read(lockId))?.info).toBe(record('first'))
      await table.break(lockId, record('first'))
      expect(await table.read(lockId)).toBeUndefined()
    })

    test('a lock that was taken anew is not broken with the old record', async () => {
      await table.take(lockId, record('first'))
      await table.delete(lockId)
      await table.take(lockId, record('second'))
      await expect(table.break(lockId, record('first'))).rejects.toThrow(unmet)
      expect((await table.read(lockId))?.info).toBe(record('second'))
    })

    test('a lock that is gone cannot be broken', async () => {
      await table.take(lockId, record('first'))
      await table.delete(lockId)
      await expect(table.break(lockId, record('first'))).rejects.toThrow(unmet)
      expect(await table.read(lockId)).toBeUndefined()
    })

    test('a lock is broken by one of many that race', async () => {
      await table.take(lockId, record('first'))
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => table.break(lockId, record('first'))))
      expect(succeeded(results)).toHaveLength(1)
      for (const reason of reasons(results)) expect(reason).toBeInstanceOf(unmet)
    })

    test('a lock is released without a condition, held or not', async () => {
      await table.take(lockId, record('first'))
      await table.delete(lockId)
      await table.delete(lockId)
      await table.take(lockId, record('second'))
    })

    test('the digest of the state is not a lock, and stays when the lock is broken', async () => {
      await table.writeDigest(lockId, '0123')
      await table.take(lockId, record('first'))
      await expect(table.break(`${lockId}-md5`, record('first'))).rejects.toThrow(unmet)
      await table.break(lockId, record('first'))
      expect(await table.read(`${lockId}-md5`)).toEqual({ lockId: `${lockId}-md5`, digest: '0123' })
    })

    test('all locks and digests are listed, page by page', async () => {
      const own = new LockTable(server.url, `locks-${randomUUID()}`)
      await own.create()
      const ids = Array.from({ length: 7 }, (_, index) => `bucket/${index}`)
      for (const id of ids) await own.take(id, record(id))
      await own.writeDigest('bucket/0', '0123')
      const listed = await own.list(3)
      expect(new Set(listed.map((item) => item.lockId))).toEqual(new Set([...ids, 'bucket/0-md5']))
      expect(listed).toHaveLength(8)
      own.close()
    })

    test('a table that does not exist is told', async () => {
      const nowhere = new LockTable(server.url, 'nowhere')
      await expect(nowhere.read(lockId)).rejects.toThrow(ResourceNotFoundException)
      await expect(nowhere.list()).rejects.toThrow(ResourceNotFoundException)
      nowhere.close()
    })
  })
}
