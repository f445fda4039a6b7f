import type { FindingEvent } from '../../../functions/lib/events.ts'

/** A change of a finding as one line for whoever sits at the terminal. */
export function findingNews({ what, cluster, text, next }: FindingEvent): string {
  if (what === 'gone') return `No longer so in ${cluster}: ${text}`
  return `Found in ${cluster}: ${text} ${next}`
}
