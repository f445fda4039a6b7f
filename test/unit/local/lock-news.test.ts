import { describe, expect, it } from 'vitest'
import type { LockEvent } from '../../../functions/lib/events.ts'
import { MemoryEvents } from '../../../infra/local/memory-events.ts'
import { startSchedule } from '../../../infra/local/schedule.ts'
import { lockNews } from '../../../infra/local/views/lock-news.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'

const event: LockEvent = {
  ...{ type: 'Lock Verdict Changed', version: 1, at: '2026-03-02T10:00:00Z', execution: 'arn' },
  ...{ id: 'e1', place: '0123456789abcdef', lock: '6b1f0c9e-0000-4a55', verdict: 'stale', rule: 'holder-dead' },
  ...{ since: '2026-03-02T10:00:00Z', reasons: ['its pod is gone'], addresses: ['a/b in table locks (us-east-1)'] },
  ...{ cluster: 'staging', object: 'Terraform/flux-system/vpc', who: 'runner@vpc-tf-runner' },
}

describe('news of a lock', () => {
  it('is one line, with what to type', () => {
    expect(lockNews(event)).toBe(
      'The lock of Terraform/flux-system/vpc in staging, held by runner@vpc-tf-runner, is stale: its holder is dead. ' +
        'Why: npm run locks -- explain 6b1f0c9e',
    )
  })

  it('names the place of a lock that is no object’s, and whose record cannot be read', () => {
    const { object: _, who: __, ...rest } = event
    expect(lockNews({ ...rest, lock: '', verdict: 'suspect' })).toBe(
      'The lock of a/b in table locks (us-east-1) is suspect: its holder may be dead. ' +
        'Why: npm run locks -- explain 0123456789abcdef',
    )
  })

  it('tells that one which was suspect is gone', () => {
    const gone: LockEvent = { ...event, verdict: 'free', addresses: [] }
    expect(lockNews({ ...gone, before: 'suspect' })).toBe('The lock of Terraform/flux-system/vpc in staging is gone.')
    expect(lockNews({ ...gone, before: 'live' })).toBeUndefined()
  })

  it('is none where nothing is wrong', () => {
    for (const verdict of ['free', 'live', 'unknown'] as const) expect(lockNews({ ...event, verdict })).toBeUndefined()
  })
})

describe('events in memory', () => {
  it('are told once, whoever publishes them twice, and kept up to a limit', async () => {
    const events = new MemoryEvents()
    const heard: string[] = []
    const end = events.onEvent(({ id }) => heard.push(id))
    await events.publish(event)
    await events.publish(event)
    for (let number = 0; number < 250; number++) await events.publish({ ...event, id: `${number}` })
    end()
    await events.publish({ ...event, id: 'unheard' })
    expect(heard.slice(0, 2)).toEqual(['e1', '0'])
    expect(heard).toHaveLength(251)
    expect(events.published).toHaveLength(200)
    expect(events.published.at(-1)?.id).toBe('unheard')
  })
})

describe('a schedule', () => {
  it('calls at once, soon again, and then once in every period, until it is ended', async () => {
    const clock = new VirtualClock(0)
    const called: number[] = []
    const end = startSchedule(clock, 120_000, () => called.push(clock.now()))
    await new Promise<void>((resolve) => clock.after(300_000, resolve))
    end()
    await new Promise<void>((resolve) => clock.after(300_000, resolve))
    clock.stop()
    expect(called).toEqual([0, 10_000, 130_000, 250_000])
  })
})
