import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Notice } from './notice.ts'

/** Another delivery of the same event is being told, or has died doing so. */
export class NoticeBusy extends LockstepError {
  constructor(event: string, channel: string) {
    super('NoticeBusy', `Event ${event} is being told on ${channel} already.`, 'It is tried again.')
  }
}

export interface NoticePorts {
  readonly ledger: Pick<Ledger, 'readNotice' | 'writeNotice'>
  readonly clock: Clock
}

/**
 * Sends what is to be sent once for an event and a channel, unless that was done before. At least once: whoever dies between
 * sending and writing it down has it sent again. Answers whether it was sent now. Rejects with NoticeBusy, LedgerUnavailable
 * and whatever `send` rejects with: call again.
 */
export async function sendOnce(
  { event, channel, turnMs }: { readonly event: string; readonly channel: string; readonly turnMs: number },
  send: () => Promise<void>,
  { ledger, clock }: NoticePorts,
): Promise<boolean> {
  const known = await ledger.readNotice(event, channel)
  if (known?.sentAt !== undefined) return false
  if (known && known.until > clock.now()) throw new NoticeBusy(event, channel)
  const mine: Notice = { event, channel, version: (known?.version ?? 0) + 1, until: clock.now() + turnMs }
  if (!(await ledger.writeNotice(mine))) throw new NoticeBusy(event, channel)
  try {
    await send()
  } catch (error) {
    // The next try need not wait for the turn to run out.
    await ledger.writeNotice({ ...mine, version: mine.version + 1, until: 0 }).catch(() => {})
    throw error
  }
  await ledger.writeNotice({ ...mine, version: mine.version + 1, until: 0, sentAt: clock.now() })
  return true
}
