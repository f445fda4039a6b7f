import type { Push } from '../push.ts'

/** `host/owner/name#branch`: what a push moves, and what a claim is on. */
export function branchOf(push: Pick<Push, 'repository' | 'branch'>): string {
  return `${push.repository.host}/${push.repository.name.toLowerCase()}#${push.branch}`
}
