/**
 * A process of its own for one invocation of a bundled function: `node invoke-handler.mjs BUNDLE PAYLOAD`. Writes the
 * most memory that this process ever had resident, in KiB, the CPU time that it took to load the bundle and to invoke it, in
 * milliseconds, and what the function answered, as one line of JSON.
 * JavaScript, because to strip types takes Node 17 MB, which a function in Lambda does not need.
 */
import { existsSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [bundle = '', payload = ''] = process.argv.slice(2)
const begin = cpuMs()
const { handler } = await import(pathToFileURL(bundle).href)
const loaded = cpuMs()
const answer = await handler(JSON.parse(payload))
const [startCpuMs, workCpuMs] = [loaded - begin, cpuMs() - loaded]
process.stdout.write(`\n${JSON.stringify({ maxRssKib: mostResidentKib(), startCpuMs, workCpuMs, answer })}\n`)
// The function's clients keep their connections, as in Lambda.
process.exit(0)

/**
 * Linux counts what the parent had at the time of the fork into getrusage's ru_maxrss, and starts anew in VmHWM
 * (proc_pid_status(5)).
 */
function mostResidentKib() {
  const file = '/proc/self/status'
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(text) ?? []
  return kib === undefined ? process.resourceUsage().maxRSS : Number(kib)
}

function cpuMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
