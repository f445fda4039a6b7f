import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Measurement } from './measurement.ts'

const main = fileURLToPath(new URL('../../infra/local/main.ts', import.meta.url))
const targetSeconds = 15

/** The life of `npm run demo`, which is `npm start` up to the end of its rollouts. */
export async function measureStartTime(): Promise<readonly Measurement[]> {
  const line = { what: '`npm start` to the end of the first rollout', target: `${targetSeconds} s` }
  if (!existsSync(main)) return [{ ...line, measured: 'infra/local/main.ts is not there', ok: undefined, values: {} }]
  const begin = performance.now()
  const child = spawn(process.execPath, [main, '--once', '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  const seconds = (performance.now() - begin) / 1_000
  if (code !== 0) {
    const why = errors.trim().split('\n').at(-1) ?? ''
    return [{ ...line, measured: `it ended with ${code}: ${why}`.slice(0, 100), ok: undefined, values: {} }]
  }
  const measured = `${seconds.toFixed(1)} s, to the end of the last one`
  return [{ ...line, measured, ok: seconds <= targetSeconds, values: { seconds } }]
}
