import { execFile } from 'node:child_process'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { z } from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Guardian } from '../cluster/guardian.ts'
import { Process } from '../cluster/process.ts'
import type { EntryMaker } from './cache.ts'
import { binaryName, type GoModule, pinnedVersion } from './go-module.ts'
import type { GoToolchain } from './go-toolchain.ts'
import { isUnreachable, RegistryUnreachable } from './registry.ts'

/**
 * Part of the cache's key: binaries that are built in another way are other binaries. Kubernetes is told its own version
 * here; without that it says v0.0.0, and whoever asks it believes that.
 */
export function buildFlags(module: GoModule): readonly string[] {
  const version = pinnedVersion(module)
  const [major, minor] = version.split('.')
  const told = Object.entries({ gitVersion: `v${version}`, gitMajor: major, gitMinor: minor })
  const versions = told.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
  const linker = ['-s', '-w', ...(module.name === 'kubernetes' ? versions : [])].join(' ')
  return ['-mod=readonly', '-trimpath', `-ldflags=${linker}`]
}

/** The compiler, or the registry, does not want to. */
export class UpstreamNotBuilt extends LockstepError {
  constructor(module: string, tail: string, log: string) {
    const next = `All of its output is in ${log}.`
    super('UpstreamNotBuilt', `${module} does not build. The end of what Go says:\n${tail}\n`, next)
  }
}

/** Hundreds of modules are fetched, and Go gives up at the first that a network loses. What it has, it keeps. */
const attempts = 3

export interface GoBuild {
  readonly module: GoModule
  readonly go: GoToolchain
  /** Ends the build when this process ends, and takes what Go writes meanwhile. */
  readonly guardian: Guardian
  readonly entry: EntryMaker
  /** Where the log will be when this has thrown. */
  readonly keptLog: string
  /** Before it is tried again where the registry could not be reached. */
  readonly pauseMs: number
}

/**
 * Builds the module's programs to `bin` of the entry, and copies the CRD files of their modules to its `crds`, so that
 * the entry is whole without Go's own cache. Throws UpstreamNotBuilt and RegistryUnreachable.
 */
export async function goBuild(build: GoBuild): Promise<void> {
  for (const tool of build.module.tools) {
    await buildTool(build, tool)
    await copyCrds(build, tool)
  }
}

async function buildTool(build: GoBuild, tool: string): Promise<void> {
  const { module, go, guardian, entry, keptLog, pauseMs } = build
  const program = join(entry.directory, 'bin', binaryName(module, tool))
  const compiler = new Process({
    name: `go build ${module.name}`,
    command: ['go', 'build', ...buildFlags(module), '-o', program, tool],
    cwd: module.directory,
    // Go works in TMPDIR, and forgets to tidy up when it is killed.
    env: { ...go.env, TMPDIR: guardian.directory },
    log: entry.log,
    guardian,
  })
  for (let attempt = 1; ; attempt++) {
    await compiler.start()
    const { code } = await compiler.exited
    if (code === 0) return
    if (!isUnreachable(compiler.output())) throw new UpstreamNotBuilt(module.name, compiler.tail(), keptLog)
    if (attempt === attempts) throw new RegistryUnreachable('The Go module proxy', compiler.tail(), keptLog)
    await pause(pauseMs)
  }
}

const run = promisify(execFile)
const listed = z.object({ Module: z.object({ Dir: z.string() }) })

async function copyCrds({ module, go, entry }: GoBuild, tool: string): Promise<void> {
  const args = ['list', '-mod=readonly', '-find', '-json=Module', tool]
  const { stdout } = await run('go', args, { cwd: module.directory, env: go.env })
  const bases = join(listed.parse(JSON.parse(stdout)).Module.Dir, 'config', 'crd', 'bases')
  const target = join(entry.directory, 'crds')
  await mkdir(target, { recursive: true })
  for (const file of await crdFiles(bases)) await cp(file, join(target, basename(file)))
}

/** Absolute paths of the YAML files in the directory; none where there is no such directory. */
export async function crdFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  return names.filter((name) => name.endsWith('.yaml')).map((name) => join(directory, name))
}
