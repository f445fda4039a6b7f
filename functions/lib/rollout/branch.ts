import type { Push } from '../push.ts'

/** One branch of one repository. */
export type Branch = Pick<Push, 'repository' | 'branch'>

/** `host/owner/name#branch`: what a push moves, and what a claim is on. */
export function branchOf({ repository, branch }: Branch): string {
  return `${repository.host}/${repository.name.toLowerCase()}#${branch}`
}
