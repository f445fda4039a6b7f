import type { Approver, Fleet } from '../fleet.ts'
import type { Approval } from './approval.ts'

/** Who may decide about such a thing, be it who asked for it or not. */
export function peopleFor(
  kind: Approval['kind'],
  { locks, plans, waves }: Pick<Fleet, 'locks' | 'plans' | 'waves'>,
): readonly Approver[] {
  return { unlock: locks, plan: plans, wave: waves }[kind].approvers
}
