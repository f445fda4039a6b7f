import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LockstepError } from '../../../functions/lib/errors.ts'

/**
 * Sees to it that nothing is left of a cluster, however the process that started it ends (SIGKILL included). It is a
 * small process of its own at the other end of a pipe.
 */
export interface Guardian {
  /** Its own, for everything that the cluster writes. Nobody else may read it. Gone after `end`. */
  readonly directory: string
  /**
   * Marks a process as one of the cluster's: has to be in the environment of every process that is started for it.
   * Children inherit it, so that they are found, too, and no other process has it, so that nobody else is ended.
   */
  readonly env: Readonly<Record<string, string>>
  /** Ends (SIGKILL) every process that carries the mark, removes the directory, and waits for both. */
  end(): Promise<void>
}

const program = fileURLToPath(new URL('guardian-process.ts', import.meta.url))
const markName = 'LOCKSTEP_CLUSTER'

/** Throws ClusterUnsupported where processes cannot be looked at, and GuardianNotStarted. */
export async function startGuardian(): Promise<Guardian> {
  if (process.platform !== 'linux') {
    throw new LockstepError('ClusterUnsupported', `Clusters run on Linux, not on ${process.platform}.`, 'Use Linux.')
  }
  const id = randomBytes(6).toString('hex')
  const directory = join(tmpdir(), `lockstep-cluster-${id}`)
  const guardian = spawn(process.execPath, [program, `${markName}=${id}`, directory], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A session of its own: Ctrl-C is for the parent.
    detached: true,
    env: {},
  })
  const exited = once(guardian, 'exit')
  const complaint = guardian.stderr.setEncoding('utf8').toArray()
  const [first] = await Promise.race([once(guardian.stdout, 'data'), exited])
  if (!Buffer.isBuffer(first)) {
    throw new LockstepError(
      'GuardianNotStarted',
      `The process that tidies up after a cluster could not start:\n${(await complaint).join('')}`,
      `See whether ${tmpdir()} can be written.`,
    )
  }
  // It must not keep its parent running: the parent's end is what it waits for.
  guardian.unref()
  for (const stream of [guardian.stdin, guardian.stdout, guardian.stderr]) unref(stream)
  return {
    directory,
    env: { [markName]: id },
    end: async () => {
      guardian.ref()
      guardian.stdin.end()
      if (guardian.exitCode === null && guardian.signalCode === null) await exited
    },
  }
}

/** Streams of child processes are sockets, which their type does not say. */
function unref(stream: unknown): void {
  ;(stream as { unref(): void }).unref()
}
