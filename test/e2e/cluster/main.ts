/** `npm run cluster`: a real cluster for a person, and orders to one that runs. See --help. */
import { LockstepError } from '../../../functions/lib/errors.ts'
import { UsageError } from '../../../infra/command-line.ts'
import { interruption } from '../../../infra/local/interruption.ts'
import { endWithNpm } from '../end-with-npm.ts'
import { NoSuchCluster, sendOrder } from './control.ts'
import { faultHelp } from './fault-command.ts'
import { helpText, type Options, parseOptions } from './options.ts'
import type { Order } from './order.ts'
import { startReport } from './report.ts'
import { runSession } from './session.ts'
import { statusSchema, statusText } from './status.ts'

// Whoever reads our output has gone; the cluster ends with us.
process.stdout.on('error', () => process.exit(1))
process.exitCode = await main(process.argv.slice(2))
process.exit()

async function main(args: readonly string[]): Promise<number> {
  try {
    await run(parseOptions(args))
    return 0
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    process.stderr.write(`${error.message}\n`)
    if (error instanceof UsageError) return 2
    return error instanceof NoSuchCluster ? 3 : 1
  }
}

async function run({ command, json }: Options): Promise<void> {
  if (command.name === 'help') return void process.stdout.write(helpText(faultHelp))
  if (command.name === 'order') {
    const answer = await sendOrder(command.order, command.cluster)
    return void process.stdout.write(json ? `${JSON.stringify(answer)}\n` : textOf(command.order, answer))
  }
  endWithNpm()
  const report = startReport({ output: process.stdout, json })
  await runSession({ ...command, report, signal: interruption() })
}

function textOf({ name }: Order, answer: unknown): string {
  if (name === 'status') return statusText(statusSchema.parse(answer))
  return `${(answer as { readonly done: string }).done}\n`
}
