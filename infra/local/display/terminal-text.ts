import { styleText } from 'node:util'

export type Style = 'plain' | 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue'

/** A piece of a line in one style. */
export type Piece = readonly [text: string, style?: Style]

/** Text from a cluster or from GitHub, made safe to print: no escape sequences, no line breaks. */
export function printable(text: string): string {
  return text.replace(/[\t\r\n]/g, ' ').replace(/\p{C}/gu, '?')
}

/** One line of `pieces`, cut to `width` characters; styles only where `color`. */
export function lineOf(pieces: readonly Piece[], { width, color }: { width: number; color: boolean }): string {
  let left = width
  let line = ''
  for (const [text, style = 'plain'] of pieces) {
    if (left <= 0) break
    const characters = [...printable(text)]
    const fits = characters.length <= left
    const shown = fits ? characters.join('') : `${characters.slice(0, left - 1).join('')}…`
    line += color && style !== 'plain' ? styleText(style, shown, { validateStream: false }) : shown
    left -= fits ? characters.length : left
  }
  return color ? line : line.trimEnd()
}

/** `340 ms`, `4.2 s`, `3 min 20 s`, `2 h 05 min` */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

export const shortCommit = (commit: string): string => commit.slice(0, 7)
