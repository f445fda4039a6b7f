import type { Fleet } from '../fleet.ts'

/**
 * The names of the clusters that follow `repository`, in waves: every cluster is in a later wave than all clusters
 * that it comes after, and in the earliest one possible. A cluster that does not follow the repository has no place
 * of its own, but still stands between those before and those after it. Takes a fleet without cycles, as
 * `parseFleet` gives it.
 */
export function wavesOf(fleet: Fleet, repository: string): string[][] {
  const byName = new Map(fleet.clusters.map((cluster) => [cluster.name, cluster]))
  const followers = new Set(
    fleet.clusters.filter(({ repositories }) => repositories.includes(repository)).map(({ name }) => name),
  )

  const waveOfName = new Map<string, number>()
  const waveOf = (name: string): number => {
    const known = waveOfName.get(name)
    if (known !== undefined) return known
    const after = byName.get(name)?.after ?? []
    const wave = Math.max(0, ...after.map((before) => waveOf(before) + (followers.has(before) ? 1 : 0)))
    waveOfName.set(name, wave)
    return wave
  }

  const waves: string[][] = []
  for (const name of followers) {
    const wave = waveOf(name)
    waves[wave] = [...(waves[wave] ?? []), name]
  }
  return waves
}
