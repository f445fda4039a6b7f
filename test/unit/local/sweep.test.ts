import { describe, expect, it } from 'vitest'
import type { FindingEvent } from '../../../functions/lib/events.ts'
import { sweepFindingKinds } from '../../../functions/lib/sweep/finding.ts'
import { UsageError } from '../../../infra/command-line.ts'
import { findingLines } from '../../../infra/local/sweep/finding-text.ts'
import { helpText, parseOptions } from '../../../infra/local/sweep/options.ts'
import { findingNews } from '../../../infra/local/views/finding-news.ts'

const url = 'http://127.0.0.1:8080'

describe('npm run sweep', () => {
  it.each([
    [[], { command: 'list', url, json: false }],
    [['now', '--cluster', 'staging'], { command: 'now', cluster: 'staging', url, json: false }],
    [['-o', 'json', '--url', 'http://localhost:9000/x'], { command: 'list', url: 'http://localhost:9000', json: true }],
    [['now', '-h'], { command: 'help', url, json: false }],
  ])('reads %j', (args, options) => {
    expect(parseOptions(args)).toEqual(options)
  })

  it.each([[['later']], [['now', 'staging']], [['-o', 'yaml']], [['--url', 'ftp://x']], [['--speed', '2']]])(
    'refuses %j',
    (args) => {
      expect(() => parseOptions(args)).toThrow(UsageError)
    },
  )

  it('explains every kind of finding', () => {
    for (const kind of sweepFindingKinds) expect(helpText).toMatch(new RegExp(`^  ${kind} +\\w`, 'm'))
  })
})

const finding = {
  ...{ id: 'f', cluster: 'staging', kind: 'drift' as const, object: 'Terraform/a/vpc', since: 0 },
  ...{ text: 'Terraform/a/vpc has drifted.', next: 'Look.' },
}

describe('findings as text', () => {
  it('say what is so, since when, what to do, and when that was looked at', () => {
    const clusters = [
      { cluster: 'staging', sweptAt: 3_600_000, more: 2 },
      { cluster: 'production', more: 0 },
    ]
    expect(findingLines({ findings: [finding], clusters, now: 3_660_000 })).toEqual([
      'drift in staging, for 1h1m: Terraform/a/vpc has drifted.',
      '  Look.',
      '',
      'staging was swept 1m ago. 2 more findings are not listed.',
      'production was not swept yet.',
    ])
  })

  it('may be none', () => {
    const clusters = [{ cluster: 'staging', sweptAt: 0, more: 0 }]
    expect(findingLines({ findings: [], clusters, now: 0 })[0]).toBe('Nothing was found.')
  })

  it('are news when they come, and when they go', () => {
    const event: FindingEvent = {
      ...{ type: 'Finding Changed', version: 1, id: 'e', at: '2026-03-02T10:00:00Z', finding: 'f', what: 'new' },
      ...{
        execution: 'arn',
        cluster: 'staging',
        kind: 'drift',
        since: '2026-03-02T10:00:00Z',
        text: finding.text,
        next: finding.next,
      },
    }
    expect(findingNews(event)).toBe('Found in staging: Terraform/a/vpc has drifted. Look.')
    expect(findingNews({ ...event, what: 'gone' })).toBe('No longer so in staging: Terraform/a/vpc has drifted.')
  })
})
