import type { Ledger } from '../ledger/ledger.ts'
import { type TellPorts, tell } from '../tell.ts'
import { waveEvent } from '../waves/wave-event.ts'
import type { Approval, Closing, Decision } from './approval.ts'
import { auditedSubject } from './audited-subject.ts'

export interface ClosePorts extends TellPorts {
  readonly ledger: Pick<Ledger, 'writeApproval' | 'appendAudit'>
}

/**
 * Closes an approval whose task has its answer, or needs none. How that of a wave has ended is told here; of an unlock and of a
 * plan whoever waited for it tells. False where somebody was faster, who has closed it or asks anew. Rejects with LedgerUnavailable.
 */
export async function closeApproval(approval: Approval, how: Closing, ports: ClosePorts): Promise<boolean> {
  const { id, judged, askedAt, decisions, version } = approval
  const at = ports.clock.now()
  await ports.ledger.appendAudit({
    ...{ unlock: id, id: `approval ${how} ${askedAt} ${judged.slice(0, 16)}`, at, by: 'approval' },
    what: `the approval ends as ${how}`,
    detail: { ...auditedSubject(approval), judged, decisions: decisions.map(detailOf) },
  })
  const closed = { ...emptied(approval), version: version + 1, closed: { how, at } }
  if (!(await ports.ledger.writeApproval(closed))) return false
  if (closed.kind === 'wave') await tell(waveEvent(closed), ports)
  return true
}

/** Without what nobody needs once it is over. */
function emptied(approval: Approval): Approval {
  const { token: _, ...rest } = approval
  if (rest.kind === 'unlock') return { ...rest, plan: [] }
  if (rest.kind === 'wave') return rest
  const { shown: __, ...closed } = rest
  return closed
}

function detailOf({ by, decision, at, reason }: Decision) {
  return { by, decision, at, ...(reason !== undefined && { reason }) }
}
