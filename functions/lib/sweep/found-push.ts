import { createHash } from 'node:crypto'
import { type Push, unknownPusher } from '../push.ts'
import type { Branch } from '../rollout/branch.ts'

export interface FoundPush extends Branch {
  readonly before: string
  readonly after: string
  /** In milliseconds since the epoch: at most when it was really pushed, so that no push that was told of is older. */
  readonly pushedAt: number
  /** Who pushed, where that is known: whoever it is does not approve it either. */
  readonly pusher?: string
  /** What it is the consequence of. Whoever finds the same finds the same push. */
  readonly because: readonly string[]
}

/**
 * A push that nobody told of. Its id is made of what it is, so that of sweeps that find it, in this cluster or in
 * another one, the first one alone starts it.
 */
export function foundPush({
  repository,
  branch,
  before,
  after,
  pushedAt,
  pusher = unknownPusher,
  because,
}: FoundPush): Push {
  const { name, host } = repository
  const delivery = madeUpId([host, name.toLowerCase(), branch, after, ...because])
  return { repository: { name, host }, branch, before, after, pushedAt, pusher, delivery, found: true }
}

/** A UUID of version 8, which is for ids of one's own making: RFC 9562, section 5.8. */
function madeUpId(of: readonly string[]): string {
  const hex = createHash('sha256').update(JSON.stringify(of)).digest('hex')
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16)
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `${variant}${hex.slice(17, 20)}`]
  return [...parts, hex.slice(20, 32)].join('-')
}
