import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type Guardian, startGuardian } from '../cluster/guardian.ts'
import { Process } from '../cluster/process.ts'
import { Cache, cacheDirectory, cacheKey, type EntryMaker } from './cache.ts'
import { type Environment, passed } from './environment.ts'
import { type Say, withProgress } from './progress.ts'
import { isUnreachable, RegistryUnreachable } from './registry.ts'

export interface PythonEnvironment {
  /** Path of a Python that has the packages. Programs of packages are run as its modules: `python -m moto.server`. */
  readonly python: string
  /** By package, such as `{ moto: '5.2.5' }`. */
  readonly versions: Readonly<Record<string, string>>
}

export interface PythonOptions {
  readonly say: Say
  /** Default: that of this process. */
  readonly env?: Environment
}

const whoNeedsIt =
  'Only `npm run test:e2e` and `npm run lint:templates` need Python; `npm test` and `npm start` do not.'
/** The oldest that the packages are pinned for. */
const oldest = [3, 10] as const

export class PythonMissing extends LockstepError {
  constructor(why: string) {
    const message = `There is no working \`python3\` (${why}), and it runs moto, which stands for AWS, and cfn-lint.`
    super('PythonMissing', message, `Install Python ${oldest.join('.')} or newer. ${whoNeedsIt}`)
  }
}

export class PythonTooOld extends LockstepError {
  constructor(found: string) {
    const next = `Install Python ${oldest.join('.')} or newer. ${whoNeedsIt}`
    super('PythonTooOld', `Python ${found} is too old for the packages that the suites use.`, next)
  }
}

/** Debian and Ubuntu have it in a package of its own. */
export class PythonVenvMissing extends LockstepError {
  constructor(why: string) {
    const next = `Install it; on Debian and Ubuntu: apt-get install python3-venv. ${whoNeedsIt}`
    super('PythonVenvMissing', `This Python cannot make virtual environments (${why}).`, next)
  }
}

/** pip or venv failed, and not for want of a network. */
export class PythonPackagesFailed extends LockstepError {
  constructor(what: string, tail: string, log: string) {
    const message = `${what} failed. The end of what it says:\n${tail}\n`
    super('PythonPackagesFailed', message, `All of its output is in ${log}.`)
  }
}

const requirements = fileURLToPath(new URL('python/requirements.txt', import.meta.url))
/** Which packages are worth a word in a summary. */
const named = ['moto', 'jsonata-python', 'cfn-lint']
const run = promisify(execFile)

/**
 * A virtual environment with the packages of python/requirements.txt, each by its hash, in the cache. With it there it
 * takes no time and says nothing. Throws PythonMissing, PythonTooOld, PythonVenvMissing, PythonPackagesFailed and
 * RegistryUnreachable.
 */
export async function pythonEnvironment({ say, env = process.env }: PythonOptions): Promise<PythonEnvironment> {
  const pinned = await readFile(requirements, 'utf8')
  const pythonEnv = passed(env, ['PYENV_ROOT', 'PYENV_VERSION', ...Object.keys(env).filter(isPipSetting)])
  const version = await pythonVersion(pythonEnv)
  const cache = new Cache(cacheDirectory(env))
  const key = cacheKey([pinned, version])
  if (!(await cache.has('python', key))) {
    await withProgress(say, `Installing ${named.join(' and ')} for Python ${version.split(' ')[0]}`, async () => {
      const guardian = await startGuardian()
      const make = (entry: EntryMaker) => install(entry, pythonEnv, guardian, cache.logOf('python'))
      await cache.entry('python', key, make).finally(() => guardian.end())
    })
  }
  const versions = Object.fromEntries(named.map((name) => [name, pinnedPackage(pinned, name)]))
  return { python: join(cache.path('python', key), 'venv', 'bin', 'python'), versions }
}

/** Index, certificates, proxy, time limits. */
function isPipSetting(name: string): boolean {
  return name.startsWith('PIP_')
}

/** Version, kind of machine and place, such as `3.11.7 linux-x86_64 /usr`: a venv is only good for its own. */
async function pythonVersion(env: Record<string, string>): Promise<string> {
  const found = await askPython(describePython, env).catch((error) => {
    throw new PythonMissing(complaintOf(error))
  })
  const version = found.split(' ')[0] ?? ''
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) throw new PythonTooOld(version)
  await askPython('import venv, ensurepip', env).catch((error) => {
    throw new PythonVenvMissing(complaintOf(error))
  })
  return found
}

const describePython =
  'import sys, sysconfig; print("%d.%d.%d" % sys.version_info[:3], sysconfig.get_platform(), sys.base_prefix)'

async function askPython(program: string, env: Record<string, string>): Promise<string> {
  return (await run('python3', ['-c', program], { env })).stdout.trim()
}

/** The last line of what Python wrote, or why it could not be started. */
function complaintOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.trim().split('\n').at(-1) ?? ''
}

async function install(
  entry: EntryMaker,
  env: Record<string, string>,
  guardian: Guardian,
  keptLog: string,
): Promise<void> {
  const venv = join(entry.directory, 'venv')
  const steps: [string, readonly [string, ...string[]]][] = [
    ['python3 -m venv', ['python3', '-m', 'venv', venv]],
    ['pip install', [join(venv, 'bin', 'python'), '-m', 'pip', 'install', ...pipFlags, '-r', requirements]],
  ]
  for (const [name, command] of steps) {
    const step = new Process({ name, command, env: { ...env, TMPDIR: guardian.directory }, log: entry.log, guardian })
    await step.start()
    const { code } = await step.exited
    if (code === 0) continue
    if (isUnreachable(step.output())) throw new RegistryUnreachable('PyPI', step.tail(), keptLog)
    throw new PythonPackagesFailed(name, step.tail(), keptLog)
  }
}

/** Nothing that is not pinned, and no package that runs a program of its own while it is installed. */
const pipFlags = ['--require-hashes', '--only-binary=:all:', '--no-input', '--disable-pip-version-check']

function pinnedPackage(pinned: string, name: string): string {
  const line = pinned.split('\n').find((text) => text.startsWith(`${name}==`))
  return line?.split(/==|[ ;\\]/)[1] ?? 'unknown'
}
