import type { Clock } from '../../functions/lib/clock.ts'
import { LockstepError } from '../../functions/lib/errors.ts'
import { interruption } from './interruption.ts'
import { helpText, type Options, parseOptions } from './options.ts'
import type { Display } from './views/push-view.ts'

// What Node thinks of a dependency is nothing that a person at this terminal can act on.
process.removeAllListeners('warning')
// Whoever reads our output has gone: there is nobody to tell.
process.stdout.on('error', () => process.exit(1))
process.exitCode = await main(process.argv.slice(2))
// Connections that clients keep open must not keep the process.
process.exit()

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    if (options.help) {
      process.stdout.write(helpText)
      return 0
    }
    return await run(options)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    process.stderr.write(`${error.message}\n`)
    return 2
  }
}

async function run(options: Options): Promise<number> {
  // Loaded late: --help and mistakes are answered without the SDKs.
  const { runSession } = await import('./session.ts')
  const { userInfo } = await import('node:os')
  const display = await displayFor(options)
  return runSession({
    ...{ options, display, person: userInfo().username, signal: interruption() },
    webhookSecret: process.env.LOCKSTEP_WEBHOOK_SECRET || undefined,
    environment: process.env,
  })
}

async function displayFor({ json, speed }: Options): Promise<(clock: Clock) => Display> {
  const output = process.stdout
  const { systemClock } = await import('../../functions/lib/clock.ts')
  const { JsonDisplay } = await import('./display/json-display.ts')
  const { PlainDisplay } = await import('./display/plain-display.ts')
  const { TerminalDisplay } = await import('./display/terminal.ts')
  return (clock) => {
    if (json) return new JsonDisplay({ output, clock })
    if (!output.isTTY || process.env.TERM === 'dumb') return new PlainDisplay({ output, clock, speed })
    const color = !process.env.NO_COLOR && output.hasColors()
    const display = new TerminalDisplay({ screen: output, clock, pace: systemClock, color, speed })
    // However the process ends, the terminal gets its cursor back.
    process.on('exit', () => display.close())
    return display
  }
}
