import { createHash } from 'node:crypto'

/**
 * Splits a list into parts of at most `most`, in such a way that an item stays in its part when others come and go. It moves
 * only when there are twice as many parts as before, and then to a new one.
 *
 * CloudFormation cannot move a resource from a stack to another: the one would make it while it is still in the other. When the
 * parts double, a new stack comes after the old one, which has given it up by then. Empty parts are left in their places.
 */
export function stableParts<T>(items: readonly T[], keyOf: (item: T) => string, most: number): T[][] {
  for (let count = 1; ; count *= 2) {
    const parts: T[][] = Array.from({ length: count }, () => [])
    for (const item of items) parts[numberOf(keyOf(item)) % count]?.push(item)
    if (parts.every((part) => part.length <= most)) return parts
  }
}

/** As good as random, and the same for ever. */
const numberOf = (key: string) => createHash('sha256').update(key).digest().readUInt32BE()
