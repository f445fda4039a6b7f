import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { skippedScan } from '../../../functions/lib/locks/scan/scan.ts'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'
import { failing, failsThen, runOnce, stopClocks } from '../states/machines.ts'

const source = readFileSync(new URL('../../../statemachines/lock-scan.asl.json', import.meta.url), 'utf8')
const machine = loadDefinition(source, { JudgeFunction: 'judge', JudgeOthersFunction: 'judge-others' })

const counts = { ...skippedScan, skipped: false, live: 2, stale: 1 }
const judges: TaskHandler = async () => counts

function scan(clusters: string[], judge: TaskHandler = judges, others: TaskHandler = judges) {
  return runOnce(machine, { handlers: { judge, 'judge-others': others }, input: { clusters } })
}

afterEach(stopClocks)

describe('lock-scan', () => {
  test.each([
    ['no cluster', [], 2],
    ['one cluster', ['a'], 4],
    ['several', ['a', 'b', 'c'], 8],
  ])('counts the locks of %s, and of what belongs to none', async (_, clusters, live) => {
    const run = await scan(clusters)
    expect(run.value).toEqual({ live, stale: live / 2, suspect: 0, unknown: 0, unreadable: 0 })
  })

  test('gives its steps the cluster and its own id, and nothing that grows', async () => {
    const inputs: unknown[] = []
    const { arn } = await scan(['a'], async (input) => {
      inputs.push(input)
      return counts
    })
    expect(inputs).toEqual([{ execution: arn, cluster: 'a' }])
  })

  test('goes on with the other clusters when one fails, and names it', async () => {
    const asked: unknown[] = []
    const judge: TaskHandler = async (input) => {
      const { cluster } = input as { cluster: string }
      asked.push(cluster)
      if (cluster === 'b') throw failing('TypeError')
      return counts
    }
    let others = 0
    const run = await scan(['a', 'b', 'c'], judge, async () => {
      others++
      return counts
    })
    expect(run).toMatchObject({ status: 'FAILED', error: 'ScanIncomplete', cause: 'Not judged: b (TypeError)' })
    expect([asked, others]).toEqual([['a', 'b', 'c'], 1])
  })

  test('names all that failed', async () => {
    const fails: TaskHandler = async () => {
      throw failing('TypeError')
    }
    const run = await scan(['a', 'b'], fails, fails)
    expect(run.cause).toBe('Not judged: a (TypeError), b (TypeError), the locks of no cluster (TypeError)')
    expect((await scan(['a'], judges, fails)).cause).toBe('Not judged: the locks of no cluster (TypeError)')
  })

  test('tries again what can pass, and not for ever', async () => {
    const throttled = (times: number) => Array.from({ length: times }, () => 'LedgerUnavailable')
    expect((await scan(['a'], failsThen(throttled(3), counts))).status).toBe('SUCCEEDED')
    expect((await scan(['a'], failsThen(throttled(4), counts))).status).toBe('FAILED')
    expect((await scan([], judges, failsThen(throttled(3), counts))).status).toBe('SUCCEEDED')
  })
})
