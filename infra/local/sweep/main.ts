import { systemClock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { printable } from '../display/terminal-text.ts'
import { findingLines } from './finding-text.ts'
import { FindingsClient } from './findings-client.ts'
import { helpText, parseOptions } from './options.ts'

// Whoever reads our output has gone: there is nobody to tell.
process.stdout.on('error', () => process.exit())
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  try {
    return await run(args)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    process.stderr.write(`${printable(error.message)}\n`)
    return 2
  }
}

async function run(args: readonly string[]): Promise<0 | 1 | 2> {
  const { command, cluster, url, json } = parseOptions(args)
  if (command === 'help') {
    process.stdout.write(helpText)
    return 0
  }
  const client = new FindingsClient(url, systemClock)
  const answer = await (command === 'now' ? client.sweep(cluster) : client.list(cluster))
  process.stdout.write(`${json ? JSON.stringify(answer) : findingLines(answer).join('\n')}\n`)
  if (answer.findings.length > 0) return 1
  return answer.clusters.some(({ sweptAt }) => sweptAt === undefined) ? 2 : 0
}
