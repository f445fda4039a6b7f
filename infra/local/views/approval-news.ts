import type { ApprovalMessage } from '../../../functions/lib/approval/approvers.ts'

/**
 * What people are asked, as one line for whoever sits at the terminal. It names the console and no link: that is for
 * one person alone, and terminals are kept.
 */
export function approvalNews({ summary }: Pick<ApprovalMessage, 'summary'>, console: string): string {
  return `${summary}. Decide at ${console}/#/locks, or see npm run locks -- approvals`
}
