/** The candidate that a person most likely meant by `word`, or undefined where none is close enough. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  // A third of the letters may differ. More than that reads as another word, not as a typing mistake.
  let limit = Math.max(1, Math.floor(word.length / 3))
  let best: string | undefined
  for (const candidate of candidates) {
    // Far apart in length is far apart; a hostile long word must not cost a table of its size.
    if (Math.abs(candidate.length - word.length) > limit) continue
    const edits = distance(word.toLowerCase(), candidate.toLowerCase())
    if (edits > limit || (edits === limit && best !== undefined)) continue
    limit = edits
    best = candidate
  }
  return best
}

/** Levenshtein distance: the letters to insert, delete or replace to get from `a` to `b`. */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const line = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = at(above, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1)
      line.push(Math.min(replaced, at(above, column) + 1, at(line, column - 1) + 1))
    }
    above = line
  }
  return at(above, b.length)
}

const at = (line: readonly number[], column: number): number => line[column] ?? Number.POSITIVE_INFINITY
