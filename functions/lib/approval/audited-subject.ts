import type { Approval } from './approval.ts'

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
