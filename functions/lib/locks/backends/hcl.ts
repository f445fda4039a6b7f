import { LockstepError } from '../../errors.ts'

/** What a literal of HCL says. */
export type HclValue = string | number | boolean | null | readonly HclValue[] | HclObject

export type HclObject = ReadonlyMap<string, HclValue>

export interface HclBlock {
  readonly type: string
  readonly labels: readonly string[]
  readonly body: HclBody
  readonly line: number
}

export interface HclBody {
  readonly attributes: HclObject
  readonly blocks: readonly HclBlock[]
}

/** HCL that is wrong, or beyond literals. Names the line and what is there by its kind, never by its text: it may be a secret. */
export class HclRefused extends LockstepError {
  /** Counted from 1. */
  readonly line: number

  constructor(line: number, what: string) {
    super('HclRefused', `Line ${line}: ${what}.`, 'Write literals only: text, numbers, true, false, lists and objects.')
    this.line = line
  }
}

/** Real ones have some hundred characters. */
const lengthLimit = 64 * 1024
const depthLimit = 16

/**
 * Reads HCL whose values are literals: attributes, blocks, comments. Refused is what has to be evaluated (references,
 * functions, operators, templates), and heredocs. Of blocks whose type is not in `wanted`, at the top level, only the
 * end is looked for, so they may have references. Where lines end does not matter here. Throws HclRefused.
 */
export function readHcl(text: string, wanted?: readonly string[]): HclBody {
  if (text.length > lengthLimit) throw new HclRefused(1, `the text is too long to be read (${text.length} characters)`)
  const reader = new Reader(tokensOf(text))
  const isWanted = (type: string) => wanted?.includes(type) ?? true
  return reader.body('end', 0, isWanted)
}

/** Reads one literal, as `-backend-config` takes an object. Throws HclRefused. */
export function readHclValue(text: string): HclValue {
  if (text.length > lengthLimit) throw new HclRefused(1, `the text is too long to be read (${text.length} characters)`)
  const reader = new Reader(tokensOf(text))
  const value = reader.value(0)
  reader.expect('end')
  return value
}

type Token =
  | { readonly kind: 'name' | 'text'; readonly line: number; readonly value: string }
  | { readonly kind: 'number'; readonly line: number; readonly value: number }
  /** One of `{}[]=,:`, or any other character. */
  | { readonly kind: 'sign'; readonly line: number; readonly value: string }
  | { readonly kind: 'end'; readonly line: number; readonly value: '' }

const blank = /[\s\uFEFF]+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const nameToken = /[\p{ID_Start}_][\p{ID_Continue}-]*/uy
const numberToken = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const textToken = /"((?:[^"\\\n]|\\.)*)"/y

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  let line = 1
  const next = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (!match) return undefined
    at += match[0].length
    return match
  }
  while (at < text.length) {
    const skipped = next(blank)
    if (skipped) {
      line += skipped[0].split('\n').length - 1
      continue
    }
    tokens.push(tokenAt(text, at, line, next))
  }
  tokens.push({ kind: 'end', line, value: '' })
  return tokens
}

function tokenAt(
  text: string,
  at: number,
  line: number,
  next: (pattern: RegExp) => RegExpExecArray | undefined,
): Token {
  if (text.startsWith('<<', at)) throw new HclRefused(line, 'heredocs are not read here')
  if (text.startsWith('/*', at)) throw new HclRefused(line, 'a comment does not end')
  const quoted = next(textToken)
  if (quoted) return { kind: 'text', line, value: unescaped(quoted[1] ?? '', line) }
  if (text[at] === '"') throw new HclRefused(line, 'a text does not end on its line')
  const number = next(numberToken)
  if (number) return { kind: 'number', line, value: Number(number[0]) }
  const name = next(nameToken)
  if (name) return { kind: 'name', line, value: name[0] }
  return { kind: 'sign', line, value: next(/./suy)?.[0] ?? '' }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' }
/** An escape; a doubled `$` or `%`, which stands for one; or the begin of a template. */
const special = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([$%])\4\{|[$%]\{/gs

function unescaped(text: string, line: number): string {
  return text.replace(special, (_, short?: string, long?: string, escaped?: string, doubled?: string) => {
    if (doubled !== undefined) return `${doubled}{`
    const code = short ?? long
    if (code !== undefined) return character(Number.parseInt(code, 16), line)
    if (escaped === undefined) throw new HclRefused(line, 'a text has a template in it, which is not evaluated here')
    const plain = escapes[escaped]
    if (plain === undefined) throw new HclRefused(line, 'a text has an unknown escape in it')
    return plain
  })
}

function character(code: number, line: number): string {
  if (code <= 0x10_ff_ff) return String.fromCodePoint(code)
  throw new HclRefused(line, 'a text has an escape in it that is no character')
}

class Reader {
  private readonly tokens: readonly Token[]
  private at = 0

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  body(until: '}' | 'end', depth: number, isWanted: (type: string) => boolean = () => true): HclBody {
    const attributes = new Map<string, HclValue>()
    const blocks: HclBlock[] = []
    while (!this.took(until)) {
      const name = this.take()
      if (name.kind !== 'name') throw unexpected(name, 'the name of an attribute or a block')
      if (this.took('=')) this.set(attributes, name.value, name.line, this.value(depth))
      else if (isWanted(name.value)) blocks.push(this.block(name.value, name.line, depth))
      else this.skipBlock()
    }
    return { attributes, blocks }
  }

  value(depth: number): HclValue {
    const token = this.take()
    if (depth > depthLimit) throw new HclRefused(token.line, 'values are nested too deeply')
    if (token.kind === 'text') return token.value
    if (token.kind === 'number') return token.value
    if (token.kind === 'name') return keyword(token.value, token.line)
    if (token.value === '{') return this.object(depth)
    if (token.value === '[') return this.list(depth)
    throw unexpected(token, 'a literal')
  }

  expect(wanted: string): void {
    if (!this.took(wanted)) throw unexpected(this.take(), wanted === 'end' ? 'the end' : `"${wanted}"`)
  }

  private block(type: string, line: number, depth: number): HclBlock {
    if (depth > depthLimit) throw new HclRefused(line, 'blocks are nested too deeply')
    const labels = this.labels()
    return { type, labels, body: this.body('}', depth + 1), line }
  }

  /** Up to and with the brace. */
  private labels(): string[] {
    const labels: string[] = []
    while (!this.took('{')) {
      const label = this.take()
      if (label.kind !== 'text' && label.kind !== 'name') throw unexpected(label, '"=" or "{"')
      labels.push(label.value)
    }
    return labels
  }

  private skipBlock(): void {
    this.labels()
    for (let open = 1; open > 0; ) {
      const token = this.take()
      if (token.kind === 'end') throw unexpected(token, '"}"')
      if (token.kind === 'sign' && token.value === '{') open++
      if (token.kind === 'sign' && token.value === '}') open--
    }
  }

  private object(depth: number): HclObject {
    const members = new Map<string, HclValue>()
    while (!this.took('}')) {
      const key = this.take()
      if (key.kind !== 'text' && key.kind !== 'name') throw unexpected(key, 'a key or "}"')
      if (!this.took('=')) this.expect(':')
      this.set(members, key.value, key.line, this.value(depth + 1))
      this.took(',')
    }
    return members
  }

  private list(depth: number): HclValue[] {
    const items: HclValue[] = []
    while (!this.took(']')) {
      items.push(this.value(depth + 1))
      if (this.took(',')) continue
      this.expect(']')
      break
    }
    return items
  }

  private set(into: Map<string, HclValue>, name: string, line: number, value: HclValue): void {
    if (into.has(name)) throw new HclRefused(line, 'a name is given twice')
    into.set(name, value)
  }

  private took(wanted: string): boolean {
    const { kind, value } = this.peek()
    const isThere = wanted === 'end' ? kind === 'end' : kind === 'sign' && value === wanted
    if (isThere) this.take()
    return isThere
  }

  private peek(): Token {
    return this.tokens[this.at] ?? { kind: 'end', line: 0, value: '' }
  }

  /** The last one is `end`, and stays. */
  private take(): Token {
    const token = this.peek()
    if (token.kind !== 'end') this.at++
    return token
  }
}

const keywords: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
])

function keyword(name: string, line: number): boolean | null {
  const value = keywords.get(name)
  if (value !== undefined) return value
  throw new HclRefused(line, 'a value is a reference or a function, which is not evaluated here')
}

function unexpected(token: Token, wanted: string): HclRefused {
  const found = { name: 'a name', text: 'a text', number: 'a number', end: 'the end', sign: `"${token.value}"` }
  return new HclRefused(token.line, `here is ${found[token.kind]} where ${wanted} was expected`)
}
