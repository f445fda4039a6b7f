import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * Runs a module in a Node process of its own and answers what its last line says, as JSON. Nothing of this process's
 * environment is passed on. Throws with what it wrote to stderr when it fails.
 */
export async function runModule(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  nodeOptions: readonly string[] = [],
): Promise<unknown> {
  const child = spawn(process.execPath, [...nodeOptions, file, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}:\n${errors}`)
  return JSON.parse(output.trimEnd().split('\n').at(-1) ?? '')
}
