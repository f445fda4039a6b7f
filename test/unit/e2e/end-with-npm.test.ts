import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'

const file = new URL('../../e2e/end-with-npm.ts', import.meta.url).href
const program = `import { endWithNpm } from '${file}'
endWithNpm()
console.log('runs')
setTimeout(() => console.log('still runs'), Number(process.env.STAYS_MS))`

/** What a process writes whose parent is killed as soon as it runs. */
async function outputOfOrphan(env: Record<string, string>): Promise<string> {
  const command = `'${process.execPath}' --input-type=module -e "$PROGRAM" & wait`
  const parent = spawn('sh', ['-c', command], {
    env: { ...env, PROGRAM: program },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let output = ''
  for await (const chunk of parent.stdout.setEncoding('utf8')) {
    output += chunk
    parent.kill('SIGKILL')
  }
  if (parent.signalCode === null) await once(parent, 'exit')
  return output
}

describe('endWithNpm', () => {
  it.concurrent('ends a process that npm started and did not outlive', async () => {
    expect(await outputOfOrphan({ npm_lifecycle_event: 'test:e2e', STAYS_MS: '600000' })).toBe('runs\n')
  })

  it.concurrent('lets one go on that somebody else started', async () => {
    expect(await outputOfOrphan({ STAYS_MS: '2500' })).toBe('runs\nstill runs\n')
  })
})
