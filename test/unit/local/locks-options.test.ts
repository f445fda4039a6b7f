import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../infra/command-line.ts'
import { helpText, parseOptions } from '../../../infra/local/locks/options.ts'

const url = 'http://127.0.0.1:8080'

describe('npm run locks', () => {
  it.each([
    [[], { command: { name: 'list' }, url, json: false }],
    [['list', '-o', 'json'], { command: { name: 'list' }, url, json: true }],
    [['show', '3f2a'], { command: { name: 'show', id: '3f2a' }, url, json: false }],
    [
      ['explain', 'Terraform/a/b', '--url', 'http://localhost:9000/x', '-o', 'text'],
      { command: { name: 'explain', id: 'Terraform/a/b' }, url: 'http://localhost:9000', json: false },
    ],
    [['unlock', 'vpc', '--dry-run'], { command: { name: 'plan', id: 'vpc' }, url, json: false }],
    [['unlock', 'vpc'], { command: { name: 'unlock', id: 'vpc', wait: true }, url, json: false }],
    [
      ['unlock', 'vpc', '--as', 'ana', '--reason', 'lost', '--no-wait'],
      { command: { name: 'unlock', id: 'vpc', wait: false, as: 'ana', reason: 'lost' }, url, json: false },
    ],
    [['approvals'], { command: { name: 'approvals' }, url, json: false }],
    [['approve', 'vpc', '--as', 'bob'], { command: { name: 'approve', id: 'vpc', as: 'bob' }, url, json: false }],
    [
      ['deny', 'vpc', '--as', 'bob', '--reason', 'no'],
      { command: { name: 'deny', id: 'vpc', as: 'bob', reason: 'no' }, url, json: false },
    ],
    [['--help'], { command: { name: 'help' }, url, json: false }],
  ])('reads %j', (args, options) => {
    expect(parseOptions(args)).toEqual(options)
  })

  it.each([
    [['expain', 'a'], 'did you mean explain?'],
    [['break', 'a'], 'known are list, show, explain, unlock, approvals, approve, deny.'],
    [['list', 'a'], 'list takes no ID'],
    [['unlock', '--dry-run'], 'npm run locks -- unlock ID'],
    [['explain', 'a', '--dry-run'], 'explain has no --dry-run; unlock has it.'],
    [['approve', 'a', '--no-wait', '--as', 'bob'], 'approve has no --no-wait; unlock has it.'],
    [['list', '--as', 'bob'], 'list has no --as; unlock, approve, deny have it.'],
    [['approve', 'a'], 'Say who decides: npm run locks -- approve a --as NAME.'],
    [['deny', '--as', 'bob'], 'npm run locks -- deny ID'],
    [['unlock', 'a', '--reason', 'x'.repeat(301)], '--reason takes at most 300 characters.'],
    [['show'], 'npm run locks -- show ID'],
    [['show', 'a', 'b'], 'Say which lock'],
    [['-o', 'yaml'], '-o yaml is no output'],
    [['--url', 'localhost'], '--url localhost is no address'],
    [['--url', 'file:///etc'], 'is no address'],
    [['--force'], "Unknown option '--force'."],
  ])('refuses %j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError)
    expect(() => parseOptions(args)).toThrow(message)
  })

  it('has a help with examples and exit codes', () => {
    for (const part of ['Examples:', 'Ends with:', '-o json', '--url']) expect(helpText).toContain(part)
  })
})
