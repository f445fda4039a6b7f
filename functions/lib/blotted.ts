/** How people name what is secret. */
export const secretName = /passw(?:or)?d|passphrase|secret|token|(?:private|api|access)[_-]?key|credential/i

/**
 * A value in quotes, also where those are escaped because all of it stands in other ones; or up to where it ends. What is
 * masked already stays as it is.
 */
const value = String.raw`(?!\((?:sensitive|known after))(?:\\+"[^"\\]*\\+"|"[^"]*"|'[^']*'|[^\s,;]+)`

/** `AWS_SECRET_ACCESS_KEY=…`, `"password": "…"`. What refers to a secret is none (`secretName: …`), nor is an error of ours (`TokenUnavailable: …`). */
const named = new RegExp(
  String.raw`\b(\w*(?:${secretName.source})(?:[_-](?!ref|name)\w+|(?:access)?key|value)?)(\\*["']?\s*[:=]\s*)${value}`,
  'gi',
)

const secrets: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs, '***'],
  [/:\/\/[^/\s@]+@/g, '://***@'],
  [/(\bhooks\.slack\.com\/\w+\/)[\w/-]+/g, '$1***'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, '***'],
  [/\b(?:gh[opsur]_|github_pat_|glpat-|xox[abp]-)[\w-]+/g, '***'],
  // A token that is signed, in three parts.
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, '***'],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 ***'],
  [named, '$1$2***'],
]

/**
 * Blots out what looks secret: controllers and servers quote it although it is nobody's to read, as they pass on what Git,
 * Helm and providers print.
 */
export function blotted(text: string): string {
  return secrets.reduce((rest, [pattern, mark]) => rest.replace(pattern, mark), text)
}
