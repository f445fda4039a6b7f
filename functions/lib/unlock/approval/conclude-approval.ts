import type { Clock } from '../../clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Approval, Closing, Decision } from './approval.ts'
import type { TaskTokens, TokenAnswer } from './task-tokens.ts'

export interface ConcludePorts {
  readonly ledger: Pick<Ledger, 'writeApproval' | 'appendAudit'>
  readonly tasks: TaskTokens
  readonly clock: Clock
}

/**
 * Answers the task that waits for people, and closes the approval after it: one that stays open, because whoever did
 * this died in between, is answered again. Answers whether the task still waited. Rejects with LedgerUnavailable and TaskTokensUnavailable.
 */
export async function concludeApproval(approval: Approval, how: Closing, ports: ConcludePorts): Promise<TokenAnswer> {
  const { unlock, lock, judged, askedAt, decisions, token } = approval
  const at = ports.clock.now()
  await ports.ledger.appendAudit({
    ...{ unlock, id: `approval ${how} ${askedAt} ${judged.slice(0, 16)}`, at, by: 'approval' },
    what: `the approval ends as ${how}`,
    detail: { lock, judged, decisions: decisions.map(detailOf) },
  })
  const answered = token === undefined ? 'gone' : await answer(token, approval, how, ports.tasks)
  const { token: _, ...rest } = approval
  // Whoever wrote meanwhile has either closed it, or was asked anew with another token.
  await ports.ledger.writeApproval({ ...rest, plan: [], version: approval.version + 1, closed: { how, at } })
  return answered
}

function detailOf({ by, decision, at, reason }: Decision) {
  return { by, decision, at, ...(reason !== undefined && { reason }) }
}

async function answer(token: string, approval: Approval, how: Closing, tasks: TaskTokens): Promise<TokenAnswer> {
  const { decisions, object, cluster, needed } = approval
  const of = `the unlock of ${object} in ${cluster}`
  switch (how) {
    case 'approved':
      return tasks.succeed(token, { approvals: decisions.map(({ by, at }) => ({ by, at })) })
    case 'denied': {
      const denied = decisions.find(({ decision }) => decision === 'deny')
      const why = denied?.reason ? `: ${denied.reason}` : '.'
      return tasks.fail(token, { error: 'UnlockDenied', cause: `${denied?.by} denied ${of}${why}` })
    }
    case 'changed': {
      const cause = `The lock of ${object} in ${cluster} is not what people were asked about any more.`
      return tasks.fail(token, { error: 'LockChanged', cause })
    }
    case 'expired': {
      const cause = `${decisions.length} of ${needed} approvals for ${of} were given in time.`
      return tasks.fail(token, { error: 'NotApproved', cause })
    }
    case 'gone':
      return 'gone'
  }
}
