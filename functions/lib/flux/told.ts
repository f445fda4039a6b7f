import type { Condition } from './object.ts'

/** Longest piece of a controller's message that is kept: they hold whole plans and stack traces at times. */
const longest = 240

/** What controllers quote although it is nobody's to read: they pass on what Git, Helm and providers print. */
const secrets: readonly (readonly [RegExp, string])[] = [
  [/:\/\/[^/\s@]+@/g, '://***@'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, '***'],
  [/\b(?:gh[opsur]_|github_pat_|glpat-|xox[abp]-)[\w-]+/g, '***'],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 ***'],
  [/\b(\w*(?:password|passwd|secret|token|api_?key))(["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;]+)/gi, '$1$2***'],
]

/** A condition as people read it and the ledger keeps it: `Reason: message`, short, with what looks secret blotted out. */
export function told({ reason, message }: Condition): string {
  return shortened(message ? `${reason}: ${message}` : reason)
}

/** Blots out what looks secret, and cuts to what is kept. */
export function shortened(text: string): string {
  const clean = secrets.reduce((rest, [pattern, mark]) => rest.replace(pattern, mark), text.slice(0, 4 * longest))
  return clean.length > longest ? `${clean.slice(0, longest - 1)}…` : clean
}
