import { describe, expect, it } from 'vitest'
import { helpText, parseOptions } from '../../../infra/local/locks/options.ts'
import { UsageError } from '../../../infra/local/options.ts'

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
    [['unlock', 'vpc', '--dry-run'], { command: { name: 'unlock', id: 'vpc', dryRun: true }, url, json: false }],
    [['unlock', 'vpc'], { command: { name: 'unlock', id: 'vpc', dryRun: false }, url, json: false }],
    [['--help'], { command: { name: 'help' }, url, json: false }],
  ])('reads %j', (args, options) => {
    expect(parseOptions(args)).toEqual(options)
  })

  it.each([
    [['expain', 'a'], 'did you mean explain?'],
    [['break', 'a'], 'known are list, show, explain, unlock.'],
    [['list', 'a'], 'list takes no ID'],
    [['unlock', '--dry-run'], 'npm run locks -- unlock ID'],
    [['explain', 'a', '--dry-run'], 'explain has no --dry-run: it changes nothing.'],
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
