import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HclRefused, readHcl, readHclValue } from '../../../functions/lib/locks/backends/hcl.ts'

const attributes = (text: string) => Object.fromEntries(readHcl(text).attributes)
const refusal = (text: string): HclRefused => {
  try {
    readHcl(text)
  } catch (error) {
    if (error instanceof HclRefused) return error
    throw error
  }
  throw new Error('it was read')
}

describe('what is read', () => {
  it('are literals', () => {
    expect(
      attributes(`
      text   = "a b"  # one
      empty  = ""     // two
      whole  = -12    /* three
                         lines */
      part   = 1.5e3
      yes    = true
      no     = false
      none   = null
      use-it = "x"
      größe  = "ß"
      list   = ["a", 1, true,]
      `),
    ).toEqual({
      ...{ text: 'a b', empty: '', whole: -12, part: 1500, yes: true, no: false, none: null },
      ...{ 'use-it': 'x', größe: 'ß', list: ['a', 1, true] },
    })
  })

  it('are objects, with commas or lines between members, and either sign', () => {
    const text = 'endpoints = { s3 = "http://a:1", "dynamodb" : "http://b" \n iam = { deep = [] } }'
    expect(readHcl(text).attributes.get('endpoints')).toEqual(
      new Map<string, unknown>([
        ['s3', 'http://a:1'],
        ['dynamodb', 'http://b'],
        ['iam', new Map([['deep', []]])],
      ]),
    )
  })

  it('are blocks with labels, and blocks in them', () => {
    const [block, ...more] = readHcl('\nbackend "s3" {\n key = "k"\n assume_role { role_arn = "r" }\n}').blocks
    expect(more).toEqual([])
    expect(block).toMatchObject({ type: 'backend', labels: ['s3'], line: 2 })
    expect(block?.body.attributes).toEqual(new Map([['key', 'k']]))
    expect(block?.body.blocks).toMatchObject([{ type: 'assume_role', labels: [] }])
  })

  it.each([
    [String.raw`"a\"b\\c\n\t\r"`, 'a"b\\c\n\t\r'],
    [String.raw`"\u00e4\U0001F512"`, 'ä🔒'],
    [`"$\${a} %%{b} $ % $$ {"`, `\${a} %{b} $ % $$ {`],
    ['"# no comment // here /* or here"', '# no comment // here /* or here'],
  ])('are texts with escapes: %s', (text, value) => {
    expect(readHclValue(text)).toBe(value)
  })

  it('are the blocks that are wanted; others may say what they like', () => {
    const text = `
      required_version = ">= 1.9"
      encryption {
        key_provider "pbkdf2" "mine" { passphrase = var.passphrase }
        state { method = method.aes_gcm.mine }
      }
      backend "s3" {}`
    expect(readHcl(text, ['backend']).blocks.map(({ type }) => type)).toEqual(['backend'])
    expect(refusal(text).line).toBe(4)
  })

  it('is not mistaken for something of JavaScript’s own', () => {
    const { attributes } = readHcl('__proto__ = { a = 1 }\nconstructor = "x"')
    expect([...attributes.keys()]).toEqual(['__proto__', 'constructor'])
  })
})

describe('what is refused, with its line', () => {
  it.each([
    ['a reference', 'a = 1\nb = var.x', 2, 'a reference or a function'],
    ['a function', 'a = file("x")', 1, 'a reference or a function'],
    ['a template', `a = "x"\n\nb = "\${var.x}"`, 3, 'template'],
    ['a directive', 'a = "%{ if true }x%{ endif }"', 1, 'template'],
    ['a heredoc', 'a = <<EOT\nx\nEOT', 1, 'heredocs'],
    ['an indented heredoc', 'a = <<-EOT\nx\nEOT', 1, 'heredocs'],
    ['an operator', 'a = 1 + 2', 1, '"+"'],
    ['a condition', 'a = true ? 1 : 2', 1, '"?"'],
    ['parentheses', 'a = ("x")', 1, '"("'],
    ['an index', 'a = ["x"][0]', 1, '"["'],
    ['a for expression', 'a = [for x in ["y"] : x]', 1, 'a reference or a function'],
    ['a name twice', 'a = 1\na = 2', 2, 'twice'],
    ['a key twice', 'a = { b = 1, b = 2 }', 1, 'twice'],
    ['a closing brace too many', 'a = 1\n}\nb = 2', 2, '"}"'],
    ['a block without an end', 'backend "s3" {\n a = 1\n', 3, 'the end'],
    ['an object without an end', 'a = {', 1, 'the end'],
    ['a list without an end', 'a = ["x"', 1, 'the end'],
    ['a list without commas', 'a = ["x" "y"]', 1, 'a text'],
    ['a text without an end', 'a = "x\nb = "y"', 1, 'does not end'],
    ['a comment without an end', 'a = 1 /* x', 1, 'does not end'],
    ['an unknown escape', String.raw`a = "\d"`, 1, 'unknown escape'],
    ['no character', String.raw`a = "\UFFFFFFFF"`, 1, 'no character'],
    ['a name alone', 'a', 1, 'the end'],
    ['a value alone', '"a"', 1, 'a text'],
    ['a byte of nothing', 'a = \0', 1, 'a literal'],
  ])('%s', (_, text, line, why) => {
    const { message, line: found } = refusal(text)
    expect(found).toBe(line)
    expect(message).toContain(`Line ${line}: `)
    expect(message).toContain(why)
  })

  it('what is too long or too deep', () => {
    expect(refusal(`a = "${'x'.repeat(70_000)}"`).message).toContain('too long')
    expect(refusal(`a = ${'['.repeat(5_000)}`).message).toContain('too deeply')
    expect(refusal('a {'.repeat(5_000)).message).toContain('too deeply')
  })

  it('never with the text, which may be a secret', () => {
    for (const text of [
      'a = "hunter2',
      'a = hunter2',
      `a = "\${hunter2}"`,
      'hunter2 hunter2 = 1',
      'hunter2 = 1 hunter2',
    ]) {
      expect(refusal(text).message).not.toContain('hunter2')
    }
  })

  it('more than one value, where one is read', () => {
    expect(() => readHclValue('{} {}')).toThrow(HclRefused)
    expect(() => readHclValue('')).toThrow(HclRefused)
  })
})

it('reads or refuses whatever is written', () => {
  const piece = fc.constantFrom(
    'a',
    '=',
    '{',
    '}',
    '[',
    ']',
    '"',
    '"x"',
    '1',
    ',',
    '\n',
    '\\',
    '${',
    '#',
    '/*',
    '*/',
    ' ',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (text) => {
        try {
          readHcl(text)
        } catch (error) {
          expect(error).toBeInstanceOf(HclRefused)
        }
      },
    ),
  )
})
