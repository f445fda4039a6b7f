import { LockstepError } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { AuditRecord } from '../unlock/run/audit.ts'
import type { Approval } from './approval.ts'
import { auditedSubject } from './audited-subject.ts'

/** What is kept of an earlier time that people were asked the same, or new. */
type Kept = 'version' | 'askedAt' | 'expiresAt' | 'decisions' | 'closed'
type AskedAnew<A> = A extends Approval ? Omit<A, Kept | 'token'> & { readonly token: string } : never

export interface WriteAskedOptions {
  readonly ledger: Pick<Ledger, 'readApproval' | 'writeApproval' | 'appendAudit'>
  readonly now: () => number
  /** How long people have, in milliseconds. */
  readonly approvalFor: number
  /** What the audit keeps besides. */
  readonly detail: AuditRecord['detail']
}

/** A later try has asked in the meantime: this one's task is nobody's any more. */
export class AskedMeanwhile extends LockstepError {
  constructor(id: string) {
    super('AskedMeanwhile', `People were asked about ${id} by a later try meanwhile.`, 'Nothing has to be done.')
  }
}

/**
 * Writes down what people are asked. Asked again for the same it takes the new token, and keeps what people have decided;
 * of anything else nothing is kept. Throws AskedMeanwhile; rejects with LedgerUnavailable.
 */
export async function writeAsked(
  asked: AskedAnew<Approval>,
  { ledger, now, approvalFor, detail }: WriteAskedOptions,
): Promise<Approval> {
  const { id, judged, needed, token } = asked
  const known = (await ledger.readApproval(id))?.token
  for (;;) {
    const earlier = await ledger.readApproval(id)
    if (earlier && earlier.token !== known && earlier.token !== token) throw new AskedMeanwhile(id)
    const at = now()
    const kept = earlier?.judged === judged && at < earlier.expiresAt ? earlier : undefined
    const approval: Approval = {
      ...asked,
      ...{ version: (earlier?.version ?? 0) + 1, decisions: kept?.decisions ?? [] },
      ...{ askedAt: kept?.askedAt ?? at, expiresAt: kept?.expiresAt ?? at + approvalFor },
    }
    await ledger.appendAudit({
      ...{ unlock: id, id: `asking ${approval.version}`, at, what: 'asks for approval', by: 'ask' },
      detail: { ...auditedSubject(approval), judged, needed, ...detail },
    })
    // Somebody has decided meanwhile: that is not lost.
    if (await ledger.writeApproval(approval)) return approval
  }
}
