import { branchOf } from './branch.ts'
import type { Rollout } from './rollout.ts'

/**
 * The value of the annotation lockstep.dev/gate: `<rollout> <branch>`. The rollout makes it unique, so that a
 * leftover of an older rollout cannot open it; the branch tells whose business it is when that rollout is gone.
 */
export function gateMark(rollout: Pick<Rollout, 'id' | 'push'>): string {
  return `${rollout.id} ${branchOf(rollout.push)}`
}

/** The branch in a mark; empty for a mark that Lockstep did not write. */
export function branchOfMark(mark: string): string {
  const space = mark.indexOf(' ')
  return space < 0 ? '' : mark.slice(space + 1)
}

/**
 * Whether the holder of `branch` may open a gate: its own branch's gates, whichever rollout closed them, and those of
 * `idleBranches`, which no rollout works on any more.
 */
export function mayTakeOver(mark: string, branch: string, idleBranches: ReadonlySet<string>): boolean {
  const of = branchOfMark(mark)
  return of === branch || idleBranches.has(of)
}
