import { type ParseArgsConfig, parseArgs } from 'node:util'
import { LockstepError } from '../functions/lib/errors.ts'

/** The command line makes no sense. */
export class UsageError extends LockstepError {
  constructor(message: string) {
    super('UsageError', message, 'See --help.')
  }
}

/** As Node's `parseArgs`, for people. Throws UsageError. */
export function readArguments<const Config extends ParseArgsConfig>(config: Config) {
  try {
    return parseArgs(config)
  } catch (error) {
    // Its first sentence names the option; the rest is advice for programmers.
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${message.split('. ', 1)[0]}.`)
  }
}

/** Whether `-o` asks for JSON; text is the default. Throws UsageError. */
export function isJson(output: string | undefined): boolean {
  if (output !== undefined && output !== 'json' && output !== 'text') {
    throw new UsageError(`-o ${output} is no output; give json or text.`)
  }
  return output === 'json'
}
