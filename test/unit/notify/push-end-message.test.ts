import { expect, test } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { messageText } from '../../../functions/lib/notify/message.ts'
import { type PushEnd, pushEndMessage } from '../../../functions/lib/notify/push-end-message.ts'
import { push } from '../../fixtures/raw-objects.ts'

const cluster = (name: string) => ({ name, eks: name, region: 'us-east-1', environment: name })
const fleetOf = (...names: string[]) =>
  parseFleet({ repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }], clusters: names.map(cluster) })
const fleet = fleetOf('staging', 'production')

const message = (end: Partial<PushEnd>, of = fleet) =>
  pushEndMessage({ executionArn: 'arn', status: 'FAILED', startDate: 5_000, ...end }, push(), {
    fleet: of,
    linkOf: (arn) => `https://console/${arn}`,
  })

test('tells who pushed what, since when, why it stopped, what to do, and where to look', () => {
  const told = message({ error: 'WaveFailed', cause: 'Wave 1 of 2: 0 of 1 clusters succeeded, 1 failed (staging).' })
  expect(told && messageText(told)).toBe(
    [
      'Push of bbbbbbbb has not reached all clusters',
      '',
      'Pushed by: ana, to main of github.com/my-org/fleet-infra',
      'Since: 1970-01-01T00:00:05.000Z',
      'Why: Wave 1 of 2: 0 of 1 clusters succeeded, 1 failed (staging).',
      '',
      'Next: Read the reports of the clusters that failed, correct it in Git, and push again.',
      '',
      'https://console/arn',
    ].join('\n'),
  )
  expect(told).toMatchObject({ id: 'arn/ended', urgency: 'attention', cluster: undefined })
})

test.each<[Partial<PushEnd>, string, string]>([
  [{ error: 'WaveNotAsked', cause: 'beside ana the fleet names nobody' }, 'names nobody', 'why nobody was asked'],
  [{ status: 'ABORTED', error: null, cause: null }, 'ABORTED', 'Somebody stopped it.'],
  [{ status: 'TIMED_OUT', error: 'States.Timeout', cause: '' }, 'States.Timeout', 'Read the error'],
  [{ error: 'WavesRefused', cause: '{"errorMessage":"password=hunter2"}' }, 'password=***', 'Read the error'],
])('says why, and what to do: %o', (end, why, next) => {
  const told = message(end)
  expect(told?.facts.find(([label]) => label === 'Why')?.[1]).toContain(why)
  expect(told?.next).toContain(next)
})

test.each<[Partial<PushEnd>, readonly string[]]>([
  [{ status: 'SUCCEEDED' }, ['staging', 'production']],
  [{ error: 'WaveNotApproved', cause: 'bob denied it' }, ['staging', 'production']],
  [{ error: 'WaveFailed', cause: 'one failed' }, ['staging']],
])('says nothing where all is well, or another message has said it: %o', (end, names) => {
  expect(message(end, fleetOf(...names))).toBeUndefined()
})
