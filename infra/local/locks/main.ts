import { systemClock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { printable } from '../display/terminal-text.ts'
import { approvalLines, decidedLine } from './approval-text.ts'
import { type ExitCode, exitCodeOf, exitCodeOfAll, exitCodeOfPlan, exitCodeOfRun } from './exit-code.ts'
import { followUnlock } from './follow-unlock.ts'
import { explainLines, listLines, showLines, unlockLines } from './lock-text.ts'
import { LocksClient } from './locks-client.ts'
import { helpText, type Options, parseOptions, type UnlockCommand } from './options.ts'

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
    case 'plan': {
      const answer = await client.plan(command.id)
      print(json ? [JSON.stringify(answer.unlock)] : unlockLines(answer))
      return exitCodeOfPlan(answer.unlock.plan)
    }
    case 'unlock':
      return unlock(command, client, json)
    case 'approvals': {
      const answer = await client.approvals()
      print(json ? [JSON.stringify(answer)] : approvalLines(answer))
      return 0
    }
    case 'approve':
    case 'deny': {
      const { id, name: decision, ...said } = command
      const { approval } = await client.decide(id, { ...said, decision })
      print(json ? [JSON.stringify(approval)] : [decidedLine(approval)])
      return 0
    }
  }
}

async function unlock({ id, as, reason, wait }: UnlockCommand, client: LocksClient, json: boolean): Promise<ExitCode> {
  const started = await client.start(id, {
    ...(as !== undefined && { by: as }),
    ...(reason !== undefined && { reason }),
  })
  if (!wait) {
    print([
      json
        ? JSON.stringify(started)
        : `Unlock ${started.unlock} ${started.wasUnderWay ? 'was under way already' : 'has begun'}.`,
    ])
    return 0
  }
  if (started.wasUnderWay && !json) print(['An unlock of it is under way already.'])
  const view = await followUnlock(started.unlock, client, {
    clock: systemClock,
    say: json ? () => {} : (line) => print([line]),
  })
  if (json) print([JSON.stringify(view)])
  return exitCodeOfRun(view)
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
