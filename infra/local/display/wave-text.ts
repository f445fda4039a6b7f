import type { WaveView } from '../views/push-waves.ts'
import type { Style } from './terminal-text.ts'

/** How many clusters are named; the others are counted. */
const mostNamed = 3

/** `staging, canary`, or `a, b, c and 497 more` */
export function namesText(names: readonly string[]): string {
  if (names.length <= mostNamed) return names.join(', ')
  return `${names.slice(0, mostNamed).join(', ')} and ${names.length - mostNamed} more`
}

export const waveStyles: Readonly<Record<WaveView['phase'], { readonly symbol: string; readonly style: Style }>> = {
  waits: { symbol: '·', style: 'dim' },
  running: { symbol: '▸', style: 'blue' },
  done: { symbol: '✓', style: 'green' },
  incomplete: { symbol: '✗', style: 'red' },
  'not begun': { symbol: '–', style: 'dim' },
}

/** `production: waits for staging`, `staging: rolled out now`, `staging: 1 of 1 succeeded` */
export function waveText({ phase, clusters, after, succeeded }: Omit<WaveView, 'number'>): string {
  const names = namesText(clusters)
  if (phase === 'waits') return after.length > 0 ? `${names}: waits for ${namesText(after)}` : `${names}: waits`
  if (phase === 'running') return `${names}: rolled out now`
  if (phase === 'not begun') return `${names}: not begun`
  return `${names}: ${succeeded ?? 0} of ${clusters.length} succeeded`
}
