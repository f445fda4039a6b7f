import { describe, expect, it } from 'vitest'
import { faultHelp, injectFault } from '../e2e/cluster/fault-command.ts'
import type { Faults } from '../e2e/cluster/faults.ts'
import { helpText, parseOptions } from '../e2e/cluster/options.ts'

const command = (...args: string[]) => parseOptions(args).command

describe('the command line of npm run cluster', () => {
  it('starts the demo where nothing is said', () => {
    expect(parseOptions([])).toEqual({
      command: { name: 'up', demo: true, webhook: 'http://127.0.0.1:8080/webhook' },
      json: false,
    })
    expect(command('up', '--empty', '--webhook', 'https://example.com/hook')).toEqual({
      ...{ name: 'up', demo: false, webhook: 'https://example.com/hook' },
    })
  })

  it.for<[string[], object]>([
    [['status'], { name: 'status' }],
    [['push'], { name: 'push', seconds: 2, fail: undefined }],
    [['push', '--seconds', '30', '--fail', 'database'], { name: 'push', seconds: 30, fail: 'database' }],
    [['stop', 'etcd'], { name: 'stop', process: 'etcd' }],
    [['start', 'etcd'], { name: 'start', process: 'etcd' }],
    [['fault', 'kill-runner', 'Terraform/a/b'], { name: 'fault', fault: 'kill-runner', target: ['Terraform/a/b'] }],
  ])('%j is an order', ([args, order]) => {
    expect(command(...args)).toEqual({ name: 'order', order, cluster: undefined })
    expect(command(...args, '--cluster', 'abc')).toEqual({ name: 'order', order, cluster: 'abc' })
    expect(parseOptions([...args, '-o', 'json']).json).toBe(true)
  })

  it.for<[string[], string]>([
    [['stats'], 'stats is no command; did you mean status?'],
    [['deploy'], 'deploy is no command; known are up, status,'],
    [['--sconds', '3'], "Unknown option '--sconds'."],
    [['push', '--seconds', 'soon'], '--seconds soon is no duration; give a whole number'],
    [['push', '--seconds', '3601'], '--seconds 3601 is no duration'],
    [['push', '--fail', 'app'], '--fail app is no Terraform object of the demo; give vpc or database.'],
    [['push', 'now'], 'push takes no now: npm run cluster -- push.'],
    [['status', '--seconds', '3'], '--seconds is nothing for: npm run cluster -- status.'],
    [['push', '--empty'], '--empty is nothing for: npm run cluster -- push.'],
    [['stop'], 'Name one process: npm run cluster -- stop PROCESS.'],
    [['start', 'etcd', 'kube-apiserver'], 'Name one process'],
    [['fault'], 'Say which fault'],
    [['-o', 'yaml'], '-o yaml is no output; give json or text.'],
    [['--webhook', 'localhost'], '--webhook localhost is no address'],
  ])('%j is refused', ([args, message]) => {
    expect(() => parseOptions(args)).toThrow(expect.objectContaining({ name: 'UsageError' }))
    expect(() => parseOptions(args)).toThrow(message)
  })

  it('explains itself, with every fault', () => {
    expect(command('--help')).toEqual({ name: 'help' })
    const text = helpText(faultHelp)
    for (const line of faultHelp) expect(text).toContain(line)
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120)
  })
})

describe('a fault on the command line', () => {
  const calls: unknown[] = []
  const faults = {
    killRunner: async (...args: unknown[]) => void calls.push(args),
    stopManager: async () => void calls.push('stop'),
  } as unknown as Faults

  it('is done to what is named, and says what happens', async () => {
    expect(await injectFault(faults, 'kill-runner', ['Terraform/a/b'])).toMatch(/^Terraform\/a\/b: SIGKILL/)
    expect(await injectFault(faults, 'stop-controller', [])).toMatch(/^scales/)
    expect(calls).toEqual([['Terraform/a/b', 'restart'], 'stop'])
  })

  it.for<[string, string[], string]>([
    ['kil-runner', [], 'There is no fault kil-runner. Did you mean kill-runner?'],
    ['constructor', [], 'There is no fault constructor.'],
    ['kill-runner', [], 'kill-runner is incomplete or too much. Write: fault kill-runner Terraform/<namespace>/<name>'],
    ['kill-runner', ['a', 'b'], 'kill-runner a b is incomplete or too much.'],
    ['stop-controller', ['a'], 'stop-controller a is incomplete or too much. Write: fault stop-controller'],
  ])('%s %j is refused', async ([name, target, message]) => {
    await expect(injectFault(faults, name, target)).rejects.toThrow(message)
  })
})
