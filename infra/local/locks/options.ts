import { nearest } from '../../../functions/lib/nearest.ts'
import { isJson, readArguments, UsageError } from '../../command-line.ts'
import { consoleUrl, defaultUrl } from '../options.ts'

/** What `npm run locks` was asked for. */
export interface Options {
  readonly command:
    | { readonly name: 'help' | 'list' | 'approvals' }
    | { readonly name: 'show' | 'explain' | 'plan'; readonly id: string }
    | UnlockCommand
    | DecideCommand
  /** Where the local host's console is. */
  readonly url: string
  /** One JSON document in place of text. */
  readonly json: boolean
}

export interface UnlockCommand {
  readonly name: 'unlock'
  readonly id: string
  /** Who asks; undefined: whoever runs the local host. */
  readonly as?: string
  readonly reason?: string
  /** Until it has ended. */
  readonly wait: boolean
}

export interface DecideCommand {
  readonly name: 'approve' | 'deny'
  readonly id: string
  /** Which of the fleet's approvers decides. */
  readonly as: string
  readonly reason?: string
}

export const helpText = `Asks a running local host (npm start) which state locks there are, whether their holders are dead, and to unlock them.

  npm run locks -- list          every lock that is held: what needs a person comes first
  npm run locks -- show ID       one lock: where it is, who holds it since when, what is thought of it
  npm run locks -- explain ID    why: the evidence, each piece with its source and time, and what to do next
  npm run locks -- unlock ID     unlock it under guard, and tell each step until the end; Ctrl-C ends the telling only
                   --dry-run     what that would do, to what, in which order, and how long it takes; or why it is refused
  npm run locks -- approvals     the unlocks that wait for people to agree
  npm run locks -- approve ID    agree to one, as one of the fleet's approvers; not as whoever asked for it
  npm run locks -- deny ID       end it

ID is a lock's id or its beginning (3f2a91bc), an object (Terraform/flux-system/vpc, or vpc), or the key of a place,
as -o json tells it; of approve and deny also an unlock's id. A lock is unlocked only where its holder is proven dead, and
where as many people agree as the fleet's policy asks for.

Options:
  --as NAME        of unlock: who asks, default whoever runs the local host; of approve and deny: who decides
  --reason TEXT    of unlock, approve and deny: why, for the record
  --dry-run        of unlock: changes nothing
  --no-wait        of unlock: ends once it has begun
  --url URL        of the console; default ${defaultUrl}
  -o json          one JSON document on standard output; text is the default
  -h, --help       this text

Ends with:
  0  nothing is wrong: every lock is live, or there is none; an unlock has a plan, has begun, or is done; a decision is taken
  1  a lock is suspect or stale; an unlock is refused, or denied
  2  it cannot be told, or has failed: no answer, no scan yet, a lock or a store that cannot be read, no such lock, an
     unlock that failed, a decision that is not taken, a usage error

Examples:
  npm run locks -- list
  npm run locks -- explain Terraform/billing/invoices
  npm run locks -- unlock invoices --dry-run
  npm run locks -- unlock invoices --reason "node-7 was terminated, INC-31"
  npm run locks -- approve invoices --as bob --reason "seen on the node, too"
  npm run locks -- deny invoices --as bob --reason "I am looking at it"
  npm run -s locks -- list -o json | jq -r '.locks[] | select(.verdict == "stale") | .id'
  npm run locks -- list --url http://127.0.0.1:9000
`

const commandNames = ['list', 'show', 'explain', 'unlock', 'approvals', 'approve', 'deny'] as const
type CommandName = (typeof commandNames)[number]

/** Options that only some commands have. */
const ownOptions: Readonly<Record<string, readonly CommandName[]>> = {
  'dry-run': ['unlock'],
  'no-wait': ['unlock'],
  as: ['unlock', 'approve', 'deny'],
  reason: ['unlock', 'approve', 'deny'],
}

/** Reads the arguments after `npm run locks --`. Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args)
  const url = consoleUrl(values.url)
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
  for (const [option, commands] of Object.entries(ownOptions)) {
    if (!(option in values) || commands.includes(name)) continue
    throw new UsageError(
      `${name} has no --${option}; ${commands.join(', ')} ${commands.length > 1 ? 'have' : 'has'} it.`,
    )
  }
  return { command: commandOf(name, words, values), url, json }
}

function commandOf(
  name: CommandName,
  words: readonly string[],
  values: ReturnType<typeof parse>['values'],
): Options['command'] {
  if (name === 'list' || name === 'approvals') {
    if (words.length > 0) throw new UsageError(`${name} takes no ID; show, explain and unlock do.`)
    return { name }
  }
  const [id, ...more] = words
  if (!id || more.length > 0) throw new UsageError(`Say which lock: npm run locks -- ${name} ID.`)
  if (name === 'show' || name === 'explain') return { name, id }
  const { as, reason = '' } = values
  if (reason.length > longestReason) throw new UsageError(`--reason takes at most ${longestReason} characters.`)
  const why = reason === '' ? {} : { reason }
  if (name === 'unlock') {
    if (values['dry-run']) return { name: 'plan', id }
    return { name, id, wait: !values['no-wait'], ...(as && { as }), ...why }
  }
  if (!as) throw new UsageError(`Say who decides: npm run locks -- ${name} ${id} --as NAME.`)
  return { name, id, as, ...why }
}

/** As the local host takes it. */
const longestReason = 300

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const options = {
    url: text,
    output: { ...text, short: 'o' },
    help: { ...flag, short: 'h' },
    ...{ as: text, reason: text, 'dry-run': flag, 'no-wait': flag },
  } as const
  return readArguments({ args: [...args], allowPositionals: true, options })
}
