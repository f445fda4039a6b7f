/** Markup that may go into a page as it is. */
export interface Markup {
  readonly markup: string
}

type Value = string | number | Markup | readonly Value[] | undefined

/** Makes markup of a template. What is put into it becomes text, unless it is markup itself; undefined is left out. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return { markup: parts.map((part, at) => part + textOf(values[at])).join('') }
}

function textOf(value: Value): string {
  if (value === undefined) return ''
  if (typeof value === 'object') return 'markup' in value ? value.markup : value.map(textOf).join('')
  return escaped(String(value))
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Characters that nobody sees could turn the direction of writing, and so show another text than is there. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\P{C}\n]/gu, '?')
    .replace(/[&<>"']/g, (character) => entities[character] ?? character)
}
