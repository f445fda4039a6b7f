import { blotted, secretName } from '../blotted.ts'

/**
 * `  ~ password = `, or a block: `  + credentials {`. In OpenTofu's text the sign of a change stands before a name, and whatever
 * belongs to the name stands further in than the name, up to a bracket or the end of a text right below it.
 */
const attribute = /^(\s*(?:(?:[-+~]|-\/\+|\+\/-|<=) )?)("?[\w.-]+"?)(\s*=\s*|\s+(?=\{$))(.+)$/

/** OpenTofu masks it itself, or does not know it yet. */
const nothingToSee = /^\((?:sensitive|known after apply)/

/**
 * A plan as OpenTofu prints it, without what is named like a secret, or looks like one, although nobody has called it one. Of
 * OpenTofu's text no line changes its place in the order, but lines of a masked value are left out.
 */
export function maskedText(text: string): string {
  const lines: string[] = []
  /** Where the name of the value stands whose lines are left out. */
  let inside: number | undefined
  for (const line of text.split('\n')) {
    const column = line.search(/\S/)
    if (inside !== undefined) {
      if (column < 0 || column > inside) continue
      const isEnd = column === inside && /^\s*(?:[\])}]|EOT)/.test(line)
      inside = undefined
      if (isEnd) continue
    }
    const [, before = '', name = '', is = '', value = ''] = attribute.exec(line) ?? []
    if (!secretName.test(name) || nothingToSee.test(value)) {
      lines.push(line)
      continue
    }
    lines.push(`${before}${name}${is.trim() === '' ? ' = ' : is}(sensitive)`)
    inside = before.length
  }
  return blotted(lines.join('\n'))
}
