/**
 * The program behind guardian.ts: `node guardian-process.ts MARK DIRECTORY`. Makes the directory, says so on standard
 * output, and waits until standard input is closed, which the kernel does however the parent ends. Then it ends every
 * process that has the mark in its environment, and removes the directory.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

// Whoever ends the parent's whole process group does not mean the one who tidies up after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const [mark = '', directory = ''] = process.argv.slice(2)
if (!mark || !directory) throw new Error('usage: guardian-process.ts MARK DIRECTORY')
mkdirSync(directory, { mode: 0o700 })
process.stdout.write('ready\n')
await inputClosed()
await endMarked()
rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
process.exit()

function inputClosed(): Promise<void> {
  return new Promise((done) => {
    process.stdin.on('end', done).on('close', done).on('error', done)
    process.stdin.resume()
  })
}

/**
 * A process that its parent forked last may get its environment only after a look: nothing is left when several looks
 * in a row, over half a second, find nothing. What the kernel does not let go of is given up after half a minute.
 */
async function endMarked(): Promise<void> {
  for (let clean = 0, looks = 0; clean < 5 && looks < 300; clean++, looks++) {
    const pids = markedProcesses()
    for (const pid of pids) end(pid)
    if (pids.length > 0) clean = 0
    await pause(100)
  }
}

/** Reading who has the mark just before the end of it leaves no time for a pid to be another's. */
function markedProcesses(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && environment(pid).includes(mark))
}

/** `NAME=value` each. Empty for processes of others and for those that have ended. */
function environment(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It was quicker.
  }
}
