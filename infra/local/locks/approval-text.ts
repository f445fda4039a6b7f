import { formatDuration } from '../../../functions/lib/duration.ts'
import { printable } from '../display/terminal-text.ts'
import type { ApprovalLine } from '../views/approval-view.ts'
import type { ApprovalsAnswer } from './locks-client.ts'

/** What waits for people, safe to print. */
export function approvalLines({ approvals, now }: ApprovalsAnswer): string[] {
  if (approvals.length === 0) return ['No unlock waits for people.']
  return approvals.flatMap((approval, at) => [...(at === 0 ? [] : ['']), ...linesOf(approval, now)])
}

function linesOf(approval: ApprovalLine, now: number): string[] {
  const { unlock, object, cluster, lock, rung, requestedBy, reason, decisions, expiresAt } = approval
  const facts = [
    [`${object} in ${cluster}, lock ${lock}`],
    [`  Asked by  ${requestedBy}: ${reason}`],
    [`  Rung      ${rung}`],
    ...decisions.map(({ by, decision }) => [`  Decided   ${by}: ${decision}`]),
    [`  Waits     ${waitsFor(approval)}, for ${formatDuration(Math.max(0, expiresAt - now))} more`],
    [`  Unlock    ${unlock}`],
  ]
  return facts.flat().map(printable)
}

/** Whom an unlock waits for: `1 of bob, carol`. */
export function waitsFor({ needed, decisions, people }: ApprovalLine): string {
  const missing = Math.max(0, needed - decisions.length)
  return printable(`${missing} of ${people.map(({ name }) => name).join(', ')}`)
}

/** What a decision has led to, safe to print. */
export function decidedLine(approval: ApprovalLine): string {
  const { outcome, object, cluster } = approval
  const of = `${object} in ${cluster}`
  if (outcome === 'denied') return printable(`The unlock of ${of} is denied, and ends.`)
  if (outcome === 'approved') return printable(`The unlock of ${of} is approved, and goes on.`)
  return printable(`The unlock of ${of} still waits for ${waitsFor(approval)}.`)
}
