import { type Approval, type Closing, changedText, subjectOf } from './approval.ts'
import { type ClosePorts, closeApproval } from './close-approval.ts'
import type { TaskTokens, TokenAnswer } from './task-tokens.ts'

export interface ConcludePorts extends ClosePorts {
  readonly tasks: TaskTokens
}

/** How a task that waits can be answered, or `gone`: it needs no answer. */
export type Conclusion = Exclude<Closing, 'ended' | 'stopped'>

/**
 * Answers the task that waits for people, and closes the approval after it: one that stays open, because whoever did
 * this died in between, is answered again. Answers `gone` where nobody waits for the answer, and what was decided comes to
 * nothing. Rejects with LedgerUnavailable and TaskTokensUnavailable.
 */
export async function concludeApproval(
  approval: Approval,
  how: Conclusion,
  ports: ConcludePorts,
): Promise<TokenAnswer> {
  const { token, kind } = approval
  const answered = token === undefined || how === 'gone' ? 'gone' : await answer(token, approval, how, ports.tasks)
  // The task of a rollout is only woken: between two of its looks there is none, and the next one reads what was decided.
  const isFutile = answered === 'gone' && kind !== 'plan'
  await closeApproval(approval, isFutile ? 'gone' : how, ports)
  return isFutile ? 'gone' : 'taken'
}

async function answer(
  token: string,
  approval: Approval,
  how: Exclude<Conclusion, 'gone'>,
  tasks: TaskTokens,
): Promise<TokenAnswer> {
  const { decisions, needed, kind } = approval
  // The rollout that waits for plans reads in the ledger what became of each: this only wakes it.
  if (kind === 'plan') return tasks.succeed(token, { ended: how })
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
  }
}

/** `bob denied the unlock of Terraform/flux-system/vpc in staging: not now` */
export function deniedText(approval: Approval): string {
  const denied = approval.decisions.find(({ decision }) => decision === 'deny')
  const why = denied?.reason ? `: ${denied.reason}` : '.'
  return `${denied?.by} denied ${subjectOf(approval)}${why}`
}
