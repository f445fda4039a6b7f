import { formatDuration } from '../../../functions/lib/duration.ts'
import { printable } from '../display/terminal-text.ts'
import type { FindingsAnswer } from './findings-client.ts'

/** Findings as lines for a person, safe to print. */
export function findingLines({ findings, clusters, now }: FindingsAnswer): string[] {
  const ago = (then: number) => formatDuration(Math.max(1_000, Math.floor((now - then) / 1_000) * 1_000))
  const lines = findings.flatMap(({ cluster, kind, since, text, next }) => [
    `${kind} in ${cluster}, for ${ago(since)}: ${text}`,
    `  ${next}`,
  ])
  const swept = clusters.map(({ cluster, sweptAt, more }) => {
    if (sweptAt === undefined) return `${cluster} was not swept yet.`
    const left = more > 0 ? ` ${more} more findings are not listed.` : ''
    return `${cluster} was swept ${ago(sweptAt)} ago.${left}`
  })
  return [...(lines.length === 0 ? ['Nothing was found.'] : lines), '', ...swept].map(printable)
}
