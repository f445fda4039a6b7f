import { isJson, readArguments, UsageError } from '../../command-line.ts'
import { consoleUrl, defaultUrl } from '../options.ts'

/** What `npm run sweep` was asked for. */
export interface Options {
  readonly command: 'help' | 'list' | 'now'
  /** Undefined: all clusters. */
  readonly cluster?: string
  /** Where the local host's console is. */
  readonly url: string
  /** One JSON document in place of text. */
  readonly json: boolean
}

export const helpText = `Asks a running local host (npm start) what its sweeps have found: what no push and no other event told of.

  npm run sweep            what the latest sweeps have found
  npm run sweep -- now     sweeps first

What there is to find:
  lost-push      a source serves a commit that no webhook told of: it is rolled out
  unordered      a source serves a commit whose rollout ended badly before it came to this cluster
  drift          what runs was found not to be what Git says
  detection-off  nobody looks for drift of the object, because somebody has said so
  by-hand        fields of the object were set by somebody who is neither Flux nor Lockstep
  unlocked       the object's state has no lock, or none that Lockstep can see
  large-state    the object's state is larger than the fleet's sweep.largestState
  stuck          the object has not been Ready for longer than its layer may take
  stalled        its controller has given up until something changes
  gate-left      it is still suspended by a rollout that is over
  unreadable     the object, or its state, could not be read

Options:
  --cluster NAME   this cluster alone
  --url URL        of the console; default ${defaultUrl}
  -o json          one JSON document on standard output; text is the default
  -h, --help       this text

Ends with:
  0  nothing was found
  1  something was found
  2  it cannot be told, or has failed: no answer, no sweep yet, a sweep that failed, a usage error
`

/** Reads the arguments after `npm run sweep --`. Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args)
  const { cluster } = values
  const json = isJson(values.output)
  const [command = 'list', ...more] = positionals
  if ((command !== 'list' && command !== 'now') || more.length > 0) {
    throw new UsageError(`${positionals.join(' ')} is no command; known are list and now.`)
  }
  const url = consoleUrl(values.url)
  return {
    command: values.help ? 'help' : command,
    ...(cluster !== undefined && { cluster }),
    ...{ url, json },
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const options = {
    ...{ cluster: text, url: text, output: { ...text, short: 'o' } },
    help: { type: 'boolean', short: 'h' },
  } as const
  return readArguments({ args: [...args], allowPositionals: true, options })
}
