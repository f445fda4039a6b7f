import { parseArgs } from 'node:util'
import { nearest } from '../../../functions/lib/nearest.ts'
import { defaultUrl, UsageError } from '../options.ts'

/** What `npm run locks` was asked for. */
export interface Options {
  readonly command:
    | { readonly name: 'help' | 'list' }
    | { readonly name: 'show' | 'explain'; readonly id: string }
    | { readonly name: 'unlock'; readonly id: string; readonly dryRun: boolean }
  /** Where the local host's console is. */
  readonly url: string
  /** One JSON document in place of text. */
  readonly json: boolean
}

export const helpText = `Asks a running local host (npm start) which state locks there are, and whether their holders are dead.

  npm run locks -- list          every lock that is held: what needs a person comes first
  npm run locks -- show ID       one lock: where it is, who holds it since when, what is thought of it
  npm run locks -- explain ID    why: the evidence, each piece with its source and time, and what to do next
  npm run locks -- unlock ID --dry-run
                                 what an unlock would do, to what, in which order, and how long it takes; or why it is
                                 refused. This version only plans: without --dry-run nothing is done, and it ends with 2

ID is a lock's id or its beginning (3f2a91bc), an object (Terraform/flux-system/vpc, or vpc), or the key of a place,
as -o json tells it. Nothing is changed, and no lock is ever broken by this.

Options:
  --url URL        of the console; default ${defaultUrl}
  --dry-run        of unlock
  -o json          one JSON document on standard output; text is the default
  -h, --help       this text

Ends with:
  0  nothing is wrong: every lock is live, or there is none; or an unlock has a plan
  1  a lock is suspect or stale; or an unlock is refused
  2  it cannot be told: no answer, no scan yet, a lock or a store that cannot be read, no such lock, a usage error

Examples:
  npm run locks -- list
  npm run locks -- explain Terraform/billing/invoices
  npm run locks -- unlock invoices --dry-run
  npm run -s locks -- list -o json | jq -r '.locks[] | select(.verdict == "stale") | .id'
  npm run locks -- list --url http://127.0.0.1:9000
`

const commandNames = ['list', 'show', 'explain', 'unlock'] as const

/** Reads the arguments after `npm run locks --`. Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args)
  const url = urlOf(values.url)
  const json = isJson(values.output)
  if (values.help) return { command: { name: 'help' }, url, json }
  const [given = 'list', ...words] = positionals
  const name = commandNames.find((command) => command === given)
  if (name === undefined) {
    const meant = nearest(given, [...commandNames])
    throw new UsageError(
      `${given} is no command; ${meant ? `did you mean ${meant}?` : `known are ${commandNames.join(', ')}.`}`,
    )
  }
  const dryRun = values['dry-run'] ?? false
  if (dryRun && name !== 'unlock') throw new UsageError(`${name} has no --dry-run: it changes nothing.`)
  if (name === 'list') {
    if (words.length > 0) throw new UsageError('list takes no ID; show, explain and unlock do.')
    return { command: { name }, url, json }
  }
  const [id, ...more] = words
  if (!id || more.length > 0) throw new UsageError(`Say which lock: npm run locks -- ${name} ID.`)
  if (name === 'unlock') return { command: { name, id, dryRun }, url, json }
  return { command: { name, id }, url, json }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const options = {
    url: text,
    output: { ...text, short: 'o' },
    help: { type: 'boolean', short: 'h' },
    'dry-run': { type: 'boolean' },
  } as const
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (error) {
    // Its first sentence names the option; the rest is advice for programmers.
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${message.split('. ', 1)[0]}.`)
  }
}

function isJson(output: string | undefined): boolean {
  if (output !== undefined && output !== 'json' && output !== 'text') {
    throw new UsageError(`-o ${output} is no output; give json or text.`)
  }
  return output === 'json'
}

function urlOf(url = defaultUrl): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed.origin
  throw new UsageError(`--url ${url} is no address; give one such as ${defaultUrl}.`)
}
