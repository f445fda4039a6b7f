import type { ClusterSummary, LayerSummary, PushSummary } from '../views/push-summary.ts'
import type { WaveView } from '../views/push-waves.ts'
import { duration, lineOf, type Piece, printable, type Style, shortCommit } from './terminal-text.ts'
import { waveStyles, waveText } from './wave-text.ts'

/** Notes of one cluster that are printed; the console shows all. */
const mostNotes = 5

/**
 * A summary as a table for people. The gaps before layers are Lockstep's own work, which no simulation speeds up: they
 * are told in real time, `speed` times less than the host's clock says.
 */
export function summaryLines(summary: PushSummary, { color, speed }: { color: boolean; speed: number }): string[] {
  const { commit, succeeded, durationMs, waves, clusters } = summary
  const time = speed === 1 ? '' : ` of simulated time, ${duration(durationMs / speed)} of yours`
  const title: Piece[] = [
    [succeeded ? '✓ ' : '✗ ', succeeded ? 'green' : 'red'],
    [`${shortCommit(commit)} ${succeeded ? 'is rolled out' : 'is not rolled out everywhere'}`, 'bold'],
    [`  ${duration(durationMs)}${time}`, 'dim'],
  ]
  const widest = Math.max(7, ...clusters.flatMap(({ layers }) => layers.map(({ name }) => printable(name).length)))
  const idle = speed === 1 ? 'idle before' : 'idle before (real time)'
  const head: Piece[] = [[`    ${'layer'.padEnd(widest)}  objects  ready       took  ${idle}`, 'dim']]
  const pieces = [
    title,
    ...waves.flatMap((wave) => waveLines(wave, waves.length)),
    ...clusters.flatMap((cluster) => [
      clusterLine(cluster),
      ...(cluster.layers.length > 0 ? [head] : []),
      ...cluster.layers.map((layer) => layerLine(layer, widest, speed)),
      ...noteLines(cluster.notes),
    ]),
  ]
  return pieces.map((line) => lineOf(line, { color, width: Number.POSITIVE_INFINITY }))
}

function waveLines(wave: WaveView, of: number): Piece[][] {
  const { number, phase, message } = wave
  const { symbol, style } = waveStyles[phase]
  const line: Piece[] = [[`  ${symbol} `, style], [`wave ${number} of ${of}  ${waveText(wave)}`]]
  return phase === 'incomplete' && message !== undefined ? [line, [[`    ${message}`, 'red']]] : [line]
}

function clusterLine({ cluster, status, durationMs, failure }: ClusterSummary): Piece[] {
  const style: Style = status === 'succeeded' ? 'green' : status === 'not begun' ? 'dim' : 'red'
  return [
    [`  ${cluster}`, 'bold'],
    [`  ${status}`, style],
    [durationMs === undefined ? '' : `  ${duration(durationMs)}`, 'dim'],
    [failure === undefined ? '' : `  ${failure}`],
  ]
}

function layerLine({ name, objects, ready, durationMs, idleMs }: LayerSummary, widest: number, speed: number): Piece[] {
  const took = durationMs === undefined ? '-' : duration(durationMs)
  const idle = idleMs === undefined ? '-' : duration(idleMs / speed)
  const counts = `${String(objects).padStart(7)}  ${String(ready).padStart(5)}`
  return [[`    ${printable(name).padEnd(widest)}  ${counts}  ${took.padStart(9)}  ${idle.padStart(11)}`]]
}

function noteLines(notes: readonly string[]): Piece[][] {
  const shown = notes.slice(0, mostNotes).map((note): Piece[] => [[`    note: ${note}`, 'yellow']])
  if (notes.length <= mostNotes) return shown
  return [...shown, [[`    ${notes.length - mostNotes} more notes are in the console.`, 'yellow']]]
}
