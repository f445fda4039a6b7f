import type { Verdict } from '../../../functions/lib/locks/verdict/verdict.ts'
import type { Refused } from '../../../functions/lib/unlock/plan/refusal.ts'
import type { UnlockPlan } from '../../../functions/lib/unlock/plan/unlock-plan.ts'
import type { LockFinding, LocksView } from '../views/lock-view.ts'
import type { UnlockRunView } from '../views/unlock-run-view.ts'

/** 0: nothing is wrong. 1: a lock is suspect or stale, or an unlock is refused. 2: it cannot be told, or has failed. */
export type ExitCode = 0 | 1 | 2

export function exitCodeOf(verdict: Verdict): ExitCode {
  if (verdict === 'suspect' || verdict === 'stale') return 1
  return verdict === 'unknown' ? 2 : 0
}

/** What is known to be wrong comes before what cannot be told. */
export function exitCodeOfAll({ locks, findings, scannedAt, overdue }: LocksView): ExitCode {
  const codes = locks.map(({ verdict }) => exitCodeOf(verdict))
  if (codes.includes(1)) return 1
  return codes.includes(2) || scannedAt === undefined || overdue || findings.some(isUnread) ? 2 : 0
}

/** Whether there is a plan. */
export function exitCodeOfPlan(plan: UnlockPlan | Refused): ExitCode {
  if (plan.outcome === 'planned') return 0
  return plan.rule === 'unknown' || plan.rule === 'cannot-be-read' ? 2 : 1
}

/** What became of an unlock. */
export function exitCodeOfRun({ run }: UnlockRunView): ExitCode {
  if (run?.outcome === 'unlocked') return 0
  return run?.outcome === 'refused' ? 1 : 2
}

/** Where a lock may be that nobody has seen. */
const isUnread = ({ kind }: LockFinding) => kind === 'store' || kind === 'unreadable'
