import type { Clock } from '../clock.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type Approval, type Closing, changedText, type Decision, subjectOf } from './approval.ts'
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
  const { id, judged, askedAt, decisions, token } = approval
  const at = ports.clock.now()
  await ports.ledger.appendAudit({
    ...{ unlock: id, id: `approval ${how} ${askedAt} ${judged.slice(0, 16)}`, at, by: 'approval' },
    what: `the approval ends as ${how}`,
    detail: { ...auditedSubject(approval), judged, decisions: decisions.map(detailOf) },
  })
  const answered = token === undefined ? 'gone' : await answer(token, approval, how, ports.tasks)
  // Whoever wrote meanwhile has either closed it, or was asked anew with another token.
  await ports.ledger.writeApproval({
    ...emptied(approval),
    version: approval.version + 1,
    closed: { how, at },
  })
  return answered
}

/** Without what nobody needs once it is over. */
function emptied(approval: Approval): Approval {
  const { token: _, ...rest } = approval
  if (rest.kind === 'unlock') return { ...rest, plan: [] }
  if (rest.kind === 'wave') return rest
  const { shown: __, ...closed } = rest
  return closed
}

/** What an approval is about, as the audit keeps it. */
export function auditedSubject(approval: Approval): Record<string, string | number> {
  switch (approval.kind) {
    case 'unlock':
      return { lock: approval.lock }
    case 'plan':
      return { object: approval.object, plan: approval.plan, plannedAt: approval.plannedAt }
    case 'wave':
      return { branch: approval.branch, commit: approval.commit, wave: approval.wave }
  }
}

function detailOf({ by, decision, at, reason }: Decision) {
  return { by, decision, at, ...(reason !== undefined && { reason }) }
}

async function answer(token: string, approval: Approval, how: Closing, tasks: TaskTokens): Promise<TokenAnswer> {
  const { decisions, needed, kind } = approval
  // The rollout that waits for plans reads in the ledger what became of each: this only wakes it.
  if (kind === 'plan') return how === 'gone' ? 'gone' : tasks.succeed(token, { ended: how })
  const of = subjectOf(approval)
  switch (how) {
    case 'approved':
      return tasks.succeed(token, { approvals: decisions.map(({ by, at }) => ({ by, at })) })
    case 'denied':
      return tasks.fail(token, {
        error: kind === 'unlock' ? 'UnlockDenied' : 'WaveDenied',
        cause: deniedText(approval),
      })
    case 'changed': {
      const cause =
        kind === 'unlock'
          ? `The lock of ${approval.object} in ${approval.cluster} is not what people were asked about any more.`
          : `Nobody is asked about ${of} any more: ${changedText[kind]}.`
      return tasks.fail(token, { error: kind === 'unlock' ? 'LockChanged' : 'WaveChanged', cause })
    }
    case 'expired': {
      const cause = `${decisions.length} of ${needed} approvals for ${of} were given in time.`
      return tasks.fail(token, { error: 'NotApproved', cause })
    }
    case 'gone':
      return 'gone'
  }
}

/** `bob denied the unlock of Terraform/flux-system/vpc in staging: not now` */
export function deniedText(approval: Approval): string {
  const denied = approval.decisions.find(({ decision }) => decision === 'deny')
  const why = denied?.reason ? `: ${denied.reason}` : '.'
  return `${denied?.by} denied ${subjectOf(approval)}${why}`
}
