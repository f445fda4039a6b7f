/** As the fleet says it: how many clusters of a wave, or how many of a hundred. */
export type FailureTolerance = number | `${number}%`

/** How many of `clusters` may fail before later waves are not begun. A part of a cluster is none. */
export function failuresTolerated(tolerance: FailureTolerance, clusters: number): number {
  if (typeof tolerance === 'number') return tolerance
  return Math.floor((Number.parseInt(tolerance, 10) * clusters) / 100)
}
