import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * How far a container's processes are kept apart from the machine.
 *
 * `namespaces`: a PID and a UTS namespace each. SIGKILL of its first process ends everything that it has started, as
 * in a container, and the host name is the pod's, so that the lock of a runner says `Who: root@<name>-tf-runner`.
 *
 * `none`: where the kernel or a sandbox forbids that. The process tree is ended one by one, which misses what has
 * left the tree, and locks carry the machine's name.
 */
export interface Isolation {
  readonly kind: 'namespaces' | 'none'
  /** The command that runs `command` apart, as the host `hostname`. */
  wrap(hostname: string, command: readonly [string, ...string[]]): [string, ...string[]]
  /** The container's first process, given the pid of the wrapped command. Undefined when it has ended. */
  firstProcess(pid: number): number | undefined
}

/** `--kill-child`: unshare stays outside as the parent, and the namespace goes with it. */
const apart = ['--pid', '--uts', '--fork', '--kill-child=SIGKILL']
/** Root needs no user namespace; where root is not allowed to do it without (in a container), it may be with. */
const ways = [apart, ['--user', '--map-root-user', ...apart]]

const none: Isolation = {
  kind: 'none',
  wrap: (_hostname, [file, ...args]) => [file, ...args],
  firstProcess: (pid) => pid,
}

/** Tries what the machine allows, and says so where that is nothing. */
export async function findIsolation(say: (line: string) => void): Promise<Isolation> {
  const [unshare, hostname] = [program('unshare'), program('hostname')]
  if (unshare !== undefined && hostname !== undefined) {
    for (const options of ways) {
      const isolation = namespaces([unshare, ...options], hostname)
      if (await succeeds(isolation.wrap('pod', ['/bin/sh', '-c', ':']))) return isolation
    }
  }
  say(
    'Pods run without PID and UTS namespaces, since unshare is not there or not allowed (user namespaces may be off): ' +
      'locks carry the name of this machine in place of the pod, and what leaves a process tree outlives its pod.',
  )
  return none
}

/** Paths are whole, since a container has a PATH of its own. */
function namespaces(unshare: readonly [string, ...string[]], hostnamePath: string): Isolation {
  const start = `${hostnamePath} "$0" && exec "$@"`
  return {
    kind: 'namespaces',
    wrap: (hostname, command) => [...unshare, '/bin/sh', '-c', start, hostname, ...command],
    firstProcess: (pid) => childrenOf(pid)[0],
  }
}

/** A process and all that descend from it, parents first. */
export function processTree(pid: number): number[] {
  const parents = new Map(processes().map((child) => [child, parentOf(child)]))
  const tree = [pid]
  // The list grows while it is walked.
  for (const parent of tree) tree.push(...[...parents.keys()].filter((child) => parents.get(child) === parent))
  return tree
}

const childrenOf = (pid: number) => processes().filter((candidate) => parentOf(candidate) === pid)

const processes = () =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid))

/** The name, in parentheses, may hold anything; state and parent follow it. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const parent = /^ \S (\d+)/.exec(stat.slice(stat.lastIndexOf(')') + 1))?.[1]
    return parent === undefined ? undefined : Number(parent)
  } catch {
    return undefined
  }
}

/** Where the machine has a program, by its PATH. */
export function program(name: string): string | undefined {
  const candidates = (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, name))
  return candidates.find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function succeeds([file, ...args]: [string, ...string[]]): Promise<boolean> {
  try {
    const child = spawn(file, args, { stdio: 'ignore', env: {} })
    const [code] = await once(child, 'exit')
    return code === 0
  } catch {
    return false
  }
}
