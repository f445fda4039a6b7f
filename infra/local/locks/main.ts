import { LockstepError } from '../../../functions/lib/errors.ts'
import { printable } from '../display/terminal-text.ts'
import { type ExitCode, exitCodeOf, exitCodeOfAll, exitCodeOfPlan } from './exit-code.ts'
import { explainLines, listLines, showLines, unlockLines } from './lock-text.ts'
import { LocksClient } from './locks-client.ts'
import { helpText, type Options, parseOptions } from './options.ts'

// Whoever reads our output has gone: there is nobody to tell.
process.stdout.on('error', () => process.exit())
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<ExitCode> {
  try {
    return await run(parseOptions(args))
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    process.stderr.write(`${printable(error.message)}\n`)
    return 2
  }
}

async function run({ command, url, json }: Options): Promise<ExitCode> {
  const client = new LocksClient(url)
  switch (command.name) {
    case 'help':
      process.stdout.write(helpText)
      return 0
    case 'list': {
      const answer = await client.list()
      print(json ? [JSON.stringify(answer)] : listLines(answer))
      return exitCodeOfAll(answer)
    }
    case 'show': {
      const answer = await client.find(command.id)
      print(json ? [JSON.stringify(answer.lock.observation)] : showLines(answer))
      return exitCodeOf(answer.lock.verdict)
    }
    case 'explain': {
      const answer = await client.find(command.id)
      const { key, id, explanation } = answer.lock
      print(json ? [JSON.stringify({ key, ...(id !== undefined && { id }), ...explanation })] : explainLines(answer))
      return exitCodeOf(answer.lock.verdict)
    }
    case 'unlock': {
      if (!command.dryRun) throw onlyPlanned(command.id)
      const answer = await client.plan(command.id)
      print(json ? [JSON.stringify(answer.unlock)] : unlockLines(answer))
      return exitCodeOfPlan(answer.unlock.plan)
    }
  }
}

/** Nobody must think that something was unlocked. */
function onlyPlanned(id: string): LockstepError {
  const next = `See what it would do with npm run locks -- unlock ${id} --dry-run.`
  return new LockstepError('OnlyPlanned', 'Nothing was unlocked: this version only plans an unlock.', next)
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
