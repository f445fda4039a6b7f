import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** Name in an entry that is being made of what its makers write; kept when it could not be made. */
const logName = 'log'
/** Longer than any entry takes to be made. What is older was left by somebody who was killed. */
const abandonedAfterMs = 3 * 60 * 60 * 1000

export interface EntryMaker {
  /** To be filled; becomes the entry. Its path changes then, so nothing in it may hold on to that path. */
  readonly directory: string
  /** File for the output of what fills it. */
  readonly log: string
}

/** What is expensive to get and never changes: directories that are either whole or not there. */
export class Cache {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  /** Path of the entry, whether it is there or not. */
  path(name: string, key: string): string {
    return join(this.directory, `${name}-${key}`)
  }

  async has(name: string, key: string): Promise<boolean> {
    return exists(this.path(name, key))
  }

  /** Where the log of an entry is that could not be made. */
  logOf(name: string): string {
    return join(this.directory, 'logs', `${name}.log`)
  }

  /**
   * Path of the entry, which `make` fills where it is not there. Two that make the same entry at the same time do not
   * meet: each fills a directory of its own, and the first one stays.
   */
  async entry(name: string, key: string, make: (entry: EntryMaker) => Promise<void>): Promise<string> {
    const path = this.path(name, key)
    if (await exists(path)) return path
    const unfinished = join(this.directory, 'unfinished')
    await mkdir(unfinished, { recursive: true })
    await removeAbandoned(unfinished)
    const directory = await mkdtemp(join(unfinished, `${name}-`))
    const log = join(directory, logName)
    try {
      await make({ directory, log })
      await rm(log, { force: true })
      await keepFirst(directory, path)
      return path
    } catch (error) {
      await keepLog(log, this.logOf(name))
      throw error
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }
}

/** `$LOCKSTEP_CACHE`, else `lockstep` in `$XDG_CACHE_HOME`, else `~/.cache/lockstep`. */
export function cacheDirectory(env: Readonly<Record<string, string | undefined>>): string {
  if (env.LOCKSTEP_CACHE) return env.LOCKSTEP_CACHE
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'lockstep')
}

/** Short hash of everything that an entry depends on. The parts' borders count. */
export function cacheKey(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function keepFirst(directory: string, path: string): Promise<void> {
  try {
    await rename(directory, path)
  } catch (error) {
    if (!(await exists(path))) throw error
  }
}

async function keepLog(log: string, path: string): Promise<void> {
  if (!(await exists(log))) return
  await mkdir(dirname(path), { recursive: true })
  await copyFile(log, path)
}

async function removeAbandoned(unfinished: string): Promise<void> {
  const before = Date.now() - abandonedAfterMs
  for (const name of await readdir(unfinished)) {
    const path = join(unfinished, name)
    const made = await stat(path).catch(() => undefined)
    if (made && made.mtimeMs < before) await rm(path, { recursive: true, force: true })
  }
}
