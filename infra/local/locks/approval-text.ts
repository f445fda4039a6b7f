import { formatDuration } from '../../../functions/lib/duration.ts'
import { isDestructive } from '../../../functions/lib/plans/shown-plan.ts'
import { printable } from '../display/terminal-text.ts'
import type { ApprovalLine, PlanApprovalLine, UnlockApprovalLine, WaveApprovalLine } from '../views/approval-view.ts'
import type { ApprovalsAnswer } from './locks-client.ts'

/** What waits for people, safe to print. */
export function approvalLines({ approvals, now }: ApprovalsAnswer): string[] {
  if (approvals.length === 0) return ['Nothing waits for people.']
  return approvals.flatMap((approval, at) => [...(at === 0 ? [] : ['']), ...linesOf(approval, now)])
}

function linesOf(approval: ApprovalLine, now: number): string[] {
  const { id, decisions, expiresAt } = approval
  const facts = [
    ...subjectLines(approval),
    ...decisions.map(({ by, decision }) => `  Decided   ${by}: ${decision}`),
    `  Waits     ${waitsFor(approval)}, for ${formatDuration(Math.max(0, expiresAt - now))} more`,
    `  ${{ unlock: 'Unlock', plan: 'Id', wave: 'Id' }[approval.kind].padEnd(10)}${id}`,
  ]
  return facts.map(printable)
}

function subjectLines(approval: ApprovalLine): string[] {
  switch (approval.kind) {
    case 'unlock':
      return unlockLines(approval)
    case 'plan':
      return planLines(approval)
    case 'wave':
      return waveLines(approval)
  }
}

function unlockLines({ object, cluster, lock, requestedBy, reason, rung }: UnlockApprovalLine): string[] {
  return [`${object} in ${cluster}, lock ${lock}`, `  Asked by  ${requestedBy}: ${reason}`, `  Rung      ${rung}`]
}

function planLines({ object, cluster, plan, requestedBy, shown }: PlanApprovalLine): string[] {
  const { counts, changes = [], destroysAll = false } = shown ?? {}
  const gone = changes
    .filter(isDestructive)
    .map(({ address, action }) => `  ${action.toUpperCase().padEnd(9)} ${address}`)
  return [
    `${object} in ${cluster}, ${plan}`,
    `  Pushed by ${requestedBy}`,
    ...(counts ? [`  Plan      ${counts.add} to add, ${counts.change} to change, ${counts.destroy} to destroy`] : []),
    ...(destroysAll ? ['  DESTROYS everything that the object manages'] : []),
    ...gone,
    ...(shown?.missing === undefined ? [] : [`  Plan      ${shown.missing}`]),
  ]
}

function waveLines({ branch, commit, wave, waves, clusterCount, requestedBy, before }: WaveApprovalLine): string[] {
  return [
    `Wave ${wave} of ${waves} of ${branch} at ${commit.slice(0, 12)}: ${clusterCount} clusters`,
    `  Pushed by ${requestedBy}`,
    `  Before    ${before.succeeded} succeeded, ${before.failed} failed, ${before.other} ended otherwise`,
  ]
}

/** Whom it waits for: `1 of bob, carol`. */
export function waitsFor({ needed, decisions, people }: ApprovalLine): string {
  const missing = Math.max(0, needed - decisions.length)
  return printable(`${missing} of ${people.map(({ name }) => name).join(', ')}`)
}

/** What a decision has led to, safe to print. */
export function decidedLine(approval: ApprovalLine): string {
  const { outcome } = approval
  const what = subjectText(approval)
  if (outcome === 'denied') return printable(`${what} is denied, and ${approval.kind === 'unlock' ? 'ends' : 'held'}.`)
  if (outcome === 'approved') return printable(`${what} is approved, and goes on.`)
  return printable(`${what} still waits for ${waitsFor(approval)}.`)
}

function subjectText(approval: ApprovalLine): string {
  switch (approval.kind) {
    case 'unlock':
      return `The unlock of ${approval.object} in ${approval.cluster}`
    case 'plan':
      return `${approval.plan} of ${approval.object} in ${approval.cluster}`
    case 'wave':
      return `Wave ${approval.wave} of ${approval.branch} at ${approval.commit.slice(0, 12)}`
  }
}
