import { describe, expect, test } from 'vitest'
import type { EventOf, LockEvent, LockstepEvent, UnlockEvent } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { consoleLink } from '../../../functions/lib/notify/console-link.ts'
import { messageText } from '../../../functions/lib/notify/message.ts'
import { messageOf } from '../../../functions/lib/notify/message-of.ts'
import { slackMessage } from '../../../functions/lib/notify/slack-messages.ts'
import { rolloutEvents } from '../../../functions/lib/rollout/rollout-events.ts'
import { waveEvent } from '../../../functions/lib/waves/wave-event.ts'
import { plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'staging' }],
  locks: { policy: { staging: { plan: 'auto', apply: 'one-approval' } }, approvers: ['ana', 'bob'] },
})
const unlocks = 'arn:aws:states:us-east-1:111122223333:execution:Lockstep-guarded-unlock:'
const message = (event: LockstepEvent) =>
  messageOf(event, { fleet, linkOf: consoleLink, unlockArn: (unlock) => `${unlocks}${unlock}` })

const at = '2026-03-02T10:00:00.000Z'
const scan = 'arn:aws:states:us-east-1:111122223333:execution:Lockstep-lock-scan:s1'
const sweep = 'arn:aws:states:us-east-1:111122223333:execution:Lockstep-sweep:s2'
const lock: LockEvent = {
  ...{ type: 'Lock Verdict Changed', version: 1, id: 'l1', at, place: '0123', lock: '85ef41bb', verdict: 'stale' },
  ...{ since: at, rule: 'holder-dead', reasons: ['its pod is gone'], cluster: 'staging', addresses: [] },
  ...{ object: 'Terraform/a/vpc', operation: 'OperationTypeApply', who: 'runner@vpc-tf-runner', execution: scan },
}
const link = (arn: string) =>
  `https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/${arn}`
const unlock: UnlockEvent = {
  ...{ type: 'Unlock Changed', version: 1, id: 'u1', at, unlock: 'unlock-1', what: 'asked', cluster: 'staging' },
  ...{ place: '0123', lock: '85ef41bb', object: 'Terraform/a/vpc', requestedBy: 'ana', reason: 'INC-31' },
}

describe('a message', () => {
  test('tells who, what, since when, the next step, and where to look', () => {
    const rollout = rolloutTo('staging')
    rollout.objects = [
      plannedObject('Terraform/a/vpc', 0, { phase: 'failed', detail: 'no quota' }),
      plannedObject('b', 1),
    ]
    rollout.heldSince = Date.parse(at)
    const held = rolloutEvents(rollout).at(-1) as EventOf<'Rollout Held'>
    const told = message(held)
    expect(told && messageText(told)).toBe(
      [
        'Rollout of bbbbbbbb to staging is held: 1 object waits',
        '',
        'Pushed by: ana, to main of github.com/my-org/fleet-infra',
        `Since: ${at}`,
        'Behind: Terraform/a/vpc',
        'Why: Terraform/a/vpc no quota',
        '',
        'Next: Correct Terraform/a/vpc, by a push or where it runs: the rollout goes on by itself. Or let go of what is held with flux resume.',
        '',
        `https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/${rollout.execution}`,
      ].join('\n'),
    )
  })

  test('of a wave that waits says which clusters, since when and until when, and leads to the push', () => {
    const wave = waveApprovalOf({ wave: 2, waves: 3, clusters: ['p1', 'p2'], clusterCount: 12 })
    const told = message(waveEvent({ ...wave, before: { succeeded: 4, failed: 1, other: 0 } }))
    expect(told && messageText(told)).toBe(
      [
        'Wave 2 of 3 of bbbbbbbb waits for approval',
        '',
        'Pushed by: ana, to main of github.com/my-org/fleet-infra',
        'Since: 1970-01-01T00:00:05.000Z',
        'Clusters: 12: p1, p2, …',
        'Before it: 4 succeeded, 1 failed, 0 ended otherwise',
        'Until: 1970-01-01T00:00:09.000Z',
        '',
        'Next: An approver looks at the push behind the link that was sent, and approves or denies it there.',
        '',
        `https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/${wave.execution}`,
      ].join('\n'),
    )
    expect([told?.urgency, told?.cluster]).toEqual(['attention', undefined])
  })

  test.each([
    ['approved', 'news', 'is approved, by bob', 'Nothing has to be done.'],
    ['denied', 'attention', 'is denied, by bob', 'Push a commit to be asked about that'],
    ['expired', 'attention', 'was not decided on in time, by bob', 'nobody is asked about this commit again'],
    ['stopped', 'news', 'is not waited for any more, by bob', 'Look at the execution'],
  ] as const)('of a wave that is %s', (how, urgency, title, next) => {
    const decisions = [{ by: 'bob', decision: 'approve', at: 1 } as const]
    const told = message(waveEvent(waveApprovalOf({ decisions, closed: { how, at: 7_000 } })))
    expect(told).toMatchObject({ urgency, title: `Wave 1 of 2 of bbbbbbbb ${title}` })
    expect(told?.next).toContain(next)
  })

  test('of a stale lock says who has to agree, by the policy', () => {
    expect(message(lock)?.next).toBe('One approver agrees to its unlock behind the link that was sent.')
    expect(message({ ...lock, operation: 'OperationTypePlan' })?.next).toContain('by itself')
    const { cluster: _, ...nobodys } = lock
    expect(message(nobodys)?.next).toContain('a-state-stays-locked.md')
  })

  test('of a lock leads to the scan that has judged it, or to the unlock', () => {
    for (const verdict of ['stale', 'suspect'] as const) expect(message({ ...lock, verdict })?.link).toBe(link(scan))
    expect(message({ ...lock, verdict: 'live', before: 'stale' })?.link).toBe(link(scan))
    expect(message({ ...lock, execution: 'unlock-1' })?.link).toBe(link(`${unlocks}unlock-1`))
  })

  test('is none of a lock with which nothing is wrong, and none that tells twice how an unlock ended', () => {
    for (const verdict of ['free', 'live', 'unknown'] as const) expect(message({ ...lock, verdict })).toBeUndefined()
    expect(message({ ...lock, verdict: 'live', before: 'stale' })?.title).toContain('lives')
    expect(message({ ...unlock, what: 'restored', by: 'unlock' })).toBeUndefined()
    expect(message({ ...unlock, what: 'restored', by: 'watch' })?.title).toContain('is put back')
  })

  test('of a finding says what to do, also when it has changed, and that it is gone', () => {
    const finding: EventOf<'Finding Changed'> = {
      ...{ type: 'Finding Changed', version: 1, id: 'f1', at, finding: 'f', cluster: 'staging', kind: 'drift' },
      ...{ execution: sweep, since: at, text: 'Something differs.', next: 'Push.', what: 'new' },
    }
    const title = 'staging: Something differs.'
    for (const what of ['new', 'changed'] as const)
      expect(message({ ...finding, what })).toMatchObject({ title, next: 'Push.', link: link(sweep) })
    const gone = message({ ...finding, what: 'gone' })
    expect(gone).toMatchObject({ urgency: 'news', next: 'Nothing has to be done.', link: link(sweep) })
  })

  test('of an unlock links to its execution', () => {
    expect(message(unlock)?.link).toMatch(/execution:Lockstep-guarded-unlock:unlock-1$/)
  })

  test('has nothing in it that looks secret, and no line that others have broken', () => {
    const told = message({
      ...unlock,
      reason: `password=hunter2\n*<!channel>* <https://a.example|b> ${'y'.repeat(900)}`,
    })
    const text = JSON.stringify(told)
    expect(text).not.toContain('hunter2')
    expect(told?.facts.find(([label]) => label === 'Reason')?.[1]).toMatch(/^password=\*\*\* \*<!channel>/)
    expect(Math.max(...(told?.facts ?? []).map(([, fact]) => fact.length))).toBeLessThanOrEqual(240)
  })

  test('has a title of one line, whatever an object is called', () => {
    const title = message({ ...unlock, object: `a\n\u202eb token=hunter2 ${'z'.repeat(900)}` })?.title ?? ''
    expect(title).toMatch(/^An unlock of a b token=\*\*\* z+…$/)
    expect(title.length).toBeLessThanOrEqual(240)
  })

  test('in Slack is plain text, in which nobody is called by others, within the limits of blocks', () => {
    const told = message({ ...unlock, object: `<!channel>&${'z'.repeat(300)}` })
    const { text, blocks } = (told && slackMessage(told)) as {
      text: string
      blocks: { text: { type: string; text: string } }[]
    }
    expect(text).toContain('&lt;!channel&gt;&amp;')
    expect(text).not.toContain('<!')
    expect(blocks.slice(0, 2).map((block) => block.text.type)).toEqual(['plain_text', 'plain_text'])
    expect(blocks[0]?.text.text.length).toBeLessThanOrEqual(150)
  })
})

test.each([
  ['aws', 'eu-west-1', 'https://console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/'],
  ['aws-cn', 'cn-north-1', 'https://console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/'],
  [
    'aws-us-gov',
    'us-gov-west-1',
    'https://console.amazonaws-us-gov.com/states/home?region=us-gov-west-1#/v2/executions/details/',
  ],
])('the console of %s', (partition, region, page) => {
  const arn = `arn:${partition}:states:${region}:111122223333:execution:rollout:a.b`
  expect(consoleLink(arn)).toBe(`${page}${arn}`)
})

test('there is no link to a console that is not known, and none to what is no execution', () => {
  expect(consoleLink('arn:aws-iso:states:us-iso-east-1:111122223333:execution:rollout:a')).toBeUndefined()
  expect(consoleLink('arn:aws:s3:::bucket')).toBeUndefined()
  expect(consoleLink('')).toBeUndefined()
})
