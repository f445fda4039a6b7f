import type { ApprovalChange } from '../events.ts'
import type { Closing } from './approval.ts'

/** How the end of an approval is told in events. */
export const toldEnding: Readonly<Record<Closing, Exclude<ApprovalChange, 'asked'>>> = {
  ...{ approved: 'approved', denied: 'denied', expired: 'expired' },
  ...{ changed: 'withdrawn', gone: 'withdrawn', ended: 'withdrawn', stopped: 'withdrawn' },
}
