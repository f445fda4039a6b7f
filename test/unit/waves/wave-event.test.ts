import { expect, test } from 'vitest'
import { closings } from '../../../functions/lib/approval/approval.ts'
import { eventSchema } from '../../../functions/lib/events.ts'
import { waveEvent } from '../../../functions/lib/waves/wave-event.ts'
import { push } from '../../fixtures/raw-objects.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

const clusters = Array.from({ length: 12 }, (_, index) => `c${index}`)
const asked = waveApprovalOf({ wave: 2, waves: 3, clusters, clusterCount: 50, judged: 'a secret', token: 'a secret' })

test('people are asked, about which clusters of which push, and until when', () => {
  const event = waveEvent(asked)
  expect(eventSchema.parse(event)).toEqual(event)
  expect(event).toMatchObject({ what: 'asked', wave: 2, waves: 3, clusters: 50, names: clusters.slice(0, 10) })
  expect(event).toMatchObject({ repository: 'github.com/my-org/fleet-infra', branch: 'main', commit: push().after })
  expect(event).toMatchObject({ at: '1970-01-01T00:00:05.000Z', until: '1970-01-01T00:00:09.000Z', pusher: 'ana' })
  expect(JSON.stringify(event)).not.toContain('secret')
})

test('each end is told under an id of its own, and by whom', () => {
  const decisions = [{ by: 'bob', decision: 'approve', at: 6_000 } as const]
  const events = closings.map((how) => waveEvent({ ...asked, decisions, closed: { how, at: 7_000 } }))
  for (const event of events) {
    expect(eventSchema.parse(event)).toEqual(event)
    expect(event).toMatchObject({ at: '1970-01-01T00:00:07.000Z', by: 'bob' })
  }
  const withdrawn = ['withdrawn', 'withdrawn', 'withdrawn']
  expect(events.map(({ what }) => what)).toEqual(['approved', 'denied', 'withdrawn', 'expired', ...withdrawn])
  expect(new Set([waveEvent(asked), ...events].map(({ id }) => id)).size).toBe(5)
})
