import type { EventBridgeClient } from '@aws-sdk/client-eventbridge'
import { expect, test } from 'vitest'
import { EventBridgeEvents } from '../../../functions/lib/eventbridge-events.ts'
import { eventSchema } from '../../../functions/lib/events.ts'
import { lockEventOf } from '../../../functions/lib/locks/scan/announce.ts'
import { observationOf } from '../../fixtures/observations.ts'

const event = lockEventOf(observationOf(), 'a scan')

function eventsOver(send: (command: { input: unknown }) => Promise<unknown>) {
  return new EventBridgeEvents({ client: { send } as unknown as EventBridgeClient, bus: 'default' })
}

test('an event is put on the bus in Lockstep’s name', async () => {
  const sent: unknown[] = []
  const events = eventsOver(async ({ input }) => {
    sent.push(input)
    return { FailedEntryCount: 0, Entries: [{ EventId: '1' }] }
  })
  await events.publish(event)
  const { type: DetailType, ...detail } = event
  const entry = { EventBusName: 'default', Source: 'lockstep', DetailType, Detail: JSON.stringify(detail) }
  expect(sent).toEqual([{ Entries: [entry] }])
  expect(eventSchema.parse(event)).toEqual(event)
})

test('an entry that is refused in an answer that succeeds is an error', async () => {
  const events = eventsOver(async () => ({ FailedEntryCount: 1, Entries: [{ ErrorCode: 'InternalFailure' }] }))
  await expect(events.publish(event)).rejects.toThrow(/default did not take an event \(InternalFailure\)/)
})

test('an error of the client is told by its name only', async () => {
  const events = eventsOver(() => Promise.reject(Object.assign(new Error('token abc'), { name: 'AccessDenied' })))
  await expect(events.publish(event)).rejects.toThrow(/\(AccessDenied\)/)
  await expect(events.publish(event)).rejects.not.toThrow(/token abc/)
})
