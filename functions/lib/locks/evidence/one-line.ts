import { shortened } from '../../flux/told.ts'

/** Longer texts are not looked at to their end. */
const read = 4_000

/**
 * What others wrote as one line of at most 300 characters: without characters that move a cursor or turn the direction
 * of writing, and with what looks secret blotted out.
 */
export function oneLine(text: string): string {
  const line = text
    .slice(0, read)
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
  return shortened(line).toWellFormed()
}
