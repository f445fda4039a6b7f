import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { freePorts } from './cluster/free-port.ts'
import { type Guardian, startGuardian } from './cluster/guardian.ts'
import { startOnFreePorts } from './cluster/on-free-ports.ts'
import { Process, type ProcessOptions } from './cluster/process.ts'
import { markedProcesses } from './marked-processes.ts'

let guardian: Guardian
beforeAll(async () => {
  guardian = await startGuardian()
})
afterAll(() => guardian?.end())

/** How long things may take on a busy machine. */
const patience = { timeout: 240_000 }
const path = { PATH: process.env.PATH ?? '' }

const shell = (script: string, options: Partial<ProcessOptions> = {}) =>
  new Process({
    name: 'example',
    guardian,
    env: path,
    log: join(guardian.directory, 'example.log'),
    command: ['sh', '-c', script],
    ...options,
  })

/** A server that says, as servers do, that its port is taken. */
const listener = (port: number | undefined) =>
  shell('', {
    command: [
      process.execPath,
      '-e',
      `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('listening'))`,
    ],
    ready: async (each) => each.output().includes('listening'),
  })

async function taken() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, [Symbol.asyncDispose]: async () => void server.close() }
}

describe('a process', () => {
  it('that is not there is named', async () => {
    const missing = shell('', { name: 'etcd', command: ['/nowhere/etcd'] })
    await expect(missing.start()).rejects.toThrow(
      expect.objectContaining({
        name: 'ProcessNotStarted',
        message: expect.stringContaining('etcd cannot be started: /nowhere/etcd is not there.'),
      }),
    )
    expect(missing.running).toBe(false)
  })

  it('that may not be run is named', async () => {
    const file = fileURLToPath(import.meta.url)
    await expect(shell('', { command: [file] }).start()).rejects.toThrow(`${file} cannot be run (EACCES)`)
  })

  it('that dies at its start tells how, with the end of its log', async () => {
    const dying = shell('echo the cause >&2; exit 3', { ready: async () => false })
    await expect(dying.start()).rejects.toThrow(
      expect.objectContaining({ name: 'ProcessDied', message: expect.stringMatching(/exit code 3.*the cause/s) }),
    )
  })

  it('that is never ready is ended, and tells the end of its log', async () => {
    const slow = shell('echo still at it; sleep 1000', { ready: async () => false, readyWithinMs: 2_000 })
    await expect(slow.start()).rejects.toThrow(
      expect.objectContaining({ name: 'ProcessNotReady', message: expect.stringContaining('still at it') }),
    )
    expect(slow.running).toBe(false)
  })

  it('whose port is taken says so, and gets another one where it may', async () => {
    await using other = await taken()
    await expect(listener(other.port).start()).rejects.toThrow(expect.objectContaining({ name: 'PortTaken' }))
    let tries = 0
    const { process } = await startOnFreePorts(1, ([port]) => listener(tries++ === 0 ? other.port : port))
    expect(process.running).toBe(true)
    expect(tries).toBe(2)
    await process.stop()
  })

  it('is started again as it was, and its output is that of the last run', async () => {
    const echo = shell('echo run $$; sleep 1000', { ready: async (each) => each.output().includes('run') })
    await echo.start()
    const first = echo.output()
    await echo.stop()
    expect(echo.running).toBe(false)
    await echo.start()
    expect(echo.output()).not.toContain(first)
    await echo.stop()
  })

  it('that ignores SIGTERM is killed with its children', async () => {
    const deaf = shell('trap "" TERM; sleep 1000 & echo up; wait', { ready: async (each) => each.output() !== '' })
    await deaf.start()
    await deaf.stop('SIGTERM', 200)
    expect(await deaf.exited).toEqual({ code: null, signal: 'SIGKILL' })
    await vi.waitFor(() => expect(markedProcesses(guardian.env)).toEqual([]), patience)
  })
})

describe('free ports', () => {
  it('are all different, and below those of outgoing connections', async () => {
    const ports = await freePorts(50)
    expect(new Set(ports).size).toBe(50)
    expect(Math.max(...ports)).toBeLessThan(32_768)
  })
})

describe('the guardian', () => {
  it('ends what has left its group and its parent, and removes the directory', async () => {
    const own = await startGuardian()
    const options = { guardian: own, cwd: own.directory, log: join(own.directory, 'log') }
    const stray = shell('setsid sh -c ">out; sleep 1000 & sleep 1000" & until [ -e out ]; do sleep 0.01; done', options)
    await stray.start()
    await stray.exited
    await vi.waitFor(() => expect(markedProcesses(own.env)).toHaveLength(3), patience)
    await own.end()
    expect(markedProcesses(own.env)).toEqual([])
    expect(existsSync(own.directory)).toBe(false)
  })

  it.for(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('tidies up after a parent that got %s', async (signal) => {
    const program = `
      import { join } from 'node:path'
      const { startGuardian } = await import('${new URL('cluster/guardian.ts', import.meta.url)}')
      const { Process } = await import('${new URL('cluster/process.ts', import.meta.url)}')
      const guardian = await startGuardian()
      const command = ['sh', '-c', 'setsid sleep 1000 & sleep 1000']
      await new Process({ name: 'p', guardian, env: {}, log: join(guardian.directory, 'log'), command }).start()
      console.log(JSON.stringify({ directory: guardian.directory, env: guardian.env }))
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(parent.stdout, 'data')
    const { directory, env } = JSON.parse(String(line)) as Guardian
    await vi.waitFor(() => expect(markedProcesses(env)).toHaveLength(3), patience)
    expect(existsSync(directory)).toBe(true)
    parent.kill(signal)
    await once(parent, 'exit')
    await vi.waitFor(() => expect(existsSync(directory)).toBe(false), patience)
    expect(markedProcesses(env)).toEqual([])
  })

  it('can be ended twice', async () => {
    const own = await startGuardian()
    await own.end()
    await own.end()
    expect(existsSync(own.directory)).toBe(false)
  })
})
