import { systemClock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { printable } from '../../local/display/terminal-text.ts'
import { helpText, type Options, parseOptions } from './options.ts'

// What Node thinks of a dependency is nothing that a person at this terminal can act on.
process.removeAllListeners('warning')
// Whoever reads our output has gone: there is nobody to tell.
process.stdout.on('error', () => process.exit(2))
process.exitCode = await main(process.argv.slice(2))
// Connections that are kept alive must not keep the process. What is written to a pipe has to get there first.
process.stdout.write('', () => process.exit())

/** 0: all is there. 1: something that is needed is missing. 2: it cannot be told. */
async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  try {
    const options = parseOptions(args)
    if (!options.help) return await check(options)
    process.stdout.write(helpText)
    return 0
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    process.stderr.write(`${printable(error.message)}\n`)
    return 2
  }
}

async function check({ kubeconfig: file, context, groups, unlock, json }: Options): Promise<0 | 1> {
  // Loaded late: --help and mistakes are answered without the Kubernetes client.
  const { kubeconfigClusters } = await import('../../local/kubernetes/kubeconfig-clusters.ts')
  const { inspect } = await import('../inspect.ts')
  const { lockstepGroups } = await import('../permissions.ts')
  const { reportOf } = await import('./report.ts')
  const { reportLines } = await import('./report-text.ts')
  const clusters = kubeconfigClusters({ clock: systemClock, file, ...(context && { context }) })
  const { survey, verdict } = await inspect({
    client: await clusters.connect(clusters.context),
    clock: systemClock,
    // Not where the report goes, which a program may read.
    say: (line) => process.stderr.write(`${printable(line)}\n`),
    ...(groups && { groups: lockstepGroups }),
  })
  const report = reportOf(survey, verdict, unlock)
  const { isTTY, columns } = process.stdout
  const layout = {
    width: isTTY ? columns : Number.POSITIVE_INFINITY,
    color: isTTY && process.env.TERM !== 'dumb' && !process.env.NO_COLOR && process.stdout.hasColors(),
  }
  const lines = json ? [JSON.stringify(report)] : reportLines(report, layout)
  process.stdout.write(`${lines.join('\n')}\n`)
  return report.ok ? 0 : 1
}
