import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Guardian } from './guardian.ts'

export interface ProcessOptions {
  /** How people know it, such as `kube-apiserver`. */
  readonly name: string
  readonly command: readonly [file: string, ...args: string[]]
  /** All of its environment, but for the guardian's mark. */
  readonly env: Readonly<Record<string, string>>
  /** File that its output is appended to. */
  readonly log: string
  readonly guardian: Guardian
  readonly cwd?: string
  /** Asked again and again until it answers true. Without it a process is ready once it runs. */
  readonly ready?: (process: Process) => Promise<boolean>
  /** How long it may take to be ready, in milliseconds; default one minute, since a machine may be busy. */
  readonly readyWithinMs?: number
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** The binary is not there or cannot be run. */
export class ProcessNotStarted extends LockstepError {
  constructor(name: string, file: string, code: string) {
    const why = code === 'ENOENT' ? 'is not there' : `cannot be run (${code})`
    super('ProcessNotStarted', `${name} cannot be started: ${file} ${why}.`, 'Build it, or give the path of one.')
  }
}

/** It ended before it was ready. */
export class ProcessDied extends LockstepError {
  constructor(process: Process, how: string, name = 'ProcessDied', next = 'Its log says why.') {
    super(name, `${process.name} ended at its start (${how}).\n${process.tail()}\n`, next)
  }
}

/** It ended at its start, since somebody else listens on one of its ports. */
export class PortTaken extends ProcessDied {
  constructor(process: Process, how: string) {
    super(process, how, 'PortTaken', 'End what listens on that port, or start again.')
  }
}

/** It runs, but it does not answer. */
export class ProcessNotReady extends LockstepError {
  constructor(process: Process, ms: number) {
    const message = `${process.name} is not ready after ${ms / 1000} s.\n${process.tail()}\n`
    super('ProcessNotReady', message, 'Its log may say why; a busy machine needs more time.')
  }
}

const probePauseMs = 25
const patienceMs = 5_000
const tailLines = 20
const neverRan: Exit = { code: null, signal: null }

/**
 * A child process with a log. It leads a process group, whose other members end when it ends, however that comes. It
 * can be started again as it was, with its ports and its files.
 */
export class Process {
  readonly name: string
  readonly #options: ProcessOptions
  #child: ChildProcess | undefined
  #exited: Promise<Exit> = Promise.resolve(neverRan)
  #logStart = 0

  constructor(options: ProcessOptions) {
    this.name = options.name
    this.#options = options
  }

  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined
  }

  get running(): boolean {
    const child = this.#child
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Resolves when the run that was started last has ended. */
  get exited(): Promise<Exit> {
    return this.#exited
  }

  /**
   * Starts it and waits until it is ready; does nothing where it runs. Leaves nothing running when it throws
   * ProcessNotStarted, PortTaken, ProcessDied or ProcessNotReady.
   */
  async start(): Promise<void> {
    if (this.running) return
    await this.#spawn()
    try {
      await this.#whenReady()
    } catch (error) {
      await this.stop('SIGKILL')
      throw error
    }
  }

  /** To the process itself and not to its children. Does nothing where it has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child?.kill(signal)
  }

  /**
   * Ends it and waits for its end. SIGTERM goes to the process itself, and SIGKILL follows after `graceMs`; SIGKILL
   * goes to its process group.
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = patienceMs): Promise<void> {
    const { pid } = this
    if (pid === undefined) return
    if (signal === 'SIGKILL') killGroup(pid)
    else this.signal(signal)
    const timer = setTimeout(() => killGroup(pid), graceMs)
    await this.#exited
    clearTimeout(timer)
  }

  /** What this run has written so far. */
  output(): string {
    try {
      return readFileSync(this.#options.log).subarray(this.#logStart).toString('utf8')
    } catch {
      return ''
    }
  }

  /** The last lines of it, for error messages. */
  tail(): string {
    const lines = this.output().trimEnd().split('\n').slice(-tailLines)
    return lines.join('') === '' ? `${this.name} wrote nothing.` : lines.map((line) => `  ${line}`).join('\n')
  }

  async #spawn(): Promise<void> {
    const { command, cwd, env, guardian, log, name } = this.#options
    const [file, ...args] = command
    const output = openSync(log, 'a', 0o600)
    try {
      this.#logStart = statSync(log).size
      const child = spawn(file, args, {
        stdio: ['ignore', output, output],
        env: { ...env, ...guardian.env },
        // Leader of a group, so that its children can be ended with it; and Ctrl-C is not for it.
        detached: true,
        ...(cwd !== undefined && { cwd }),
      })
      this.#child = child
      this.#exited = untilExit(child)
      await once(child, 'spawn')
      // A signal that cannot be sent is an event; an event that nobody hears would end us.
      child.on('error', () => {})
    } catch (error) {
      this.#child = undefined
      this.#exited = Promise.resolve(neverRan)
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
      throw new ProcessNotStarted(name, file, code)
    } finally {
      closeSync(output)
    }
  }

  async #whenReady(): Promise<void> {
    const { ready, readyWithinMs = 300_000 } = this.#options
    if (!ready) return
    const giveUpAt = performance.now() + readyWithinMs
    for (;;) {
      // Another process on the same port could answer in place of a dead one.
      const isReady = await ready(this)
      if (!this.running) throw await this.#death()
      if (isReady) return
      if (performance.now() > giveUpAt) throw new ProcessNotReady(this, readyWithinMs)
      await pause(probePauseMs)
    }
  }

  async #death(): Promise<ProcessDied> {
    const { code, signal } = await this.#exited
    const how = signal === null ? `exit code ${code}` : signal
    const isPort = /address already in use/i.test(this.tail())
    return isPort ? new PortTaken(this, how) : new ProcessDied(this, how)
  }
}

async function untilExit(child: ChildProcess): Promise<Exit> {
  const exit = await new Promise<Exit>((done) => child.once('exit', (code, signal) => done({ code, signal })))
  // The number cannot be another's yet: as long as the group has members it is not given away.
  if (child.pid !== undefined) killGroup(child.pid)
  return exit
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // Nobody is left in it.
  }
}
