import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startGuardian } from '../cluster/guardian.ts'
import { Cache, cacheDirectory, cacheKey, type EntryMaker } from './cache.ts'
import type { Environment } from './environment.ts'
import { buildFlags, crdFiles, goBuild } from './go-build.ts'
import { binaryName, type GoModule, pinnedVersion, readGoModules } from './go-module.ts'
import { type GoToolchain, goToolchain } from './go-toolchain.ts'
import { type Say, withProgress } from './progress.ts'

const upstreamBinaries = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'tofu',
  'source-controller',
  'kustomize-controller',
  'helm-controller',
] as const

export type UpstreamBinary = (typeof upstreamBinaries)[number]

/** The real programs that the suites run, as the modules in this directory pin them. */
export interface Upstream {
  /** Paths. */
  readonly binaries: Readonly<Record<UpstreamBinary, string>>
  /** Paths of the CRD files of Flux's controllers. */
  readonly crds: readonly string[]
  /** By module, such as `{ kubernetes: '1.35.4' }`. */
  readonly versions: Readonly<Record<string, string>>
}

export interface UpstreamOptions {
  readonly say: Say
  /** Default: that of this process. */
  readonly env?: Environment
  /** Before a module is tried again where the registry could not be reached; default 2 s. */
  readonly pauseMs?: number
}

const here = fileURLToPath(new URL('.', import.meta.url))

/**
 * Builds what the cache lacks: minutes for each of them on two cores, once. With all of it there it takes no time and
 * says nothing. Throws GoMissing, GoTooOld, GoBroken, UpstreamNotBuilt and RegistryUnreachable.
 */
export async function upstream(options: UpstreamOptions): Promise<Upstream> {
  const modules = await readGoModules(here)
  const built = await builtModules(modules, options)
  const binaries = Object.fromEntries(upstreamBinaries.map((name) => [name, programOf(built, name)]))
  return {
    binaries: binaries as Record<UpstreamBinary, string>,
    crds: built.flatMap(({ crds }) => crds),
    versions: Object.fromEntries(modules.map((module) => [module.name, pinnedVersion(module)])),
  }
}

function programOf(built: readonly BuiltModule[], name: UpstreamBinary): string {
  const path = built.map(({ programs }) => programs.get(name)).find((found) => found !== undefined)
  if (path === undefined) throw new Error(`No go.mod in ${here} has a tool line for ${name}`)
  return path
}

export interface BuiltModule {
  /** Paths by name. */
  readonly programs: ReadonlyMap<string, string>
  readonly crds: readonly string[]
}

/** The modules' programs, from the cache or built one after the other: Go itself uses all cores. */
export async function builtModules(
  modules: readonly GoModule[],
  { say, env = process.env, pauseMs = 2_000 }: UpstreamOptions,
): Promise<BuiltModule[]> {
  const go = await goToolchain(modules, env)
  const cache = new Cache(cacheDirectory(env))
  await buildMissing(modules, { go, cache, pauseMs, say })
  return Promise.all(modules.map((module) => builtModule(module, cache.path(module.name, keyOf(module, go)))))
}

interface Builder {
  readonly go: GoToolchain
  readonly cache: Cache
  readonly pauseMs: number
  readonly say: Say
}

async function buildMissing(modules: readonly GoModule[], { go, cache, pauseMs, say }: Builder): Promise<void> {
  const there = await Promise.all(modules.map((module) => cache.has(module.name, keyOf(module, go))))
  const missing = modules.filter((_, index) => !there[index])
  if (missing.length === 0) return
  say(`Building ${missing.length} of ${modules.length} upstream modules with Go ${go.version} into ${cache.directory}.`)
  const guardian = await startGuardian()
  try {
    for (const [index, module] of missing.entries()) {
      const what = `${module.name} ${pinnedVersion(module)} (${index + 1} of ${missing.length})`
      const keptLog = cache.logOf(module.name)
      const build = (entry: EntryMaker) => goBuild({ module, go, guardian, entry, keptLog, pauseMs })
      await withProgress(say, what, () => cache.entry(module.name, keyOf(module, go), build))
    }
  } finally {
    await guardian.end()
  }
}

function keyOf(module: GoModule, go: GoToolchain): string {
  return cacheKey([module.goMod, module.goSum, go.version, go.platform, ...buildFlags(module)])
}

async function builtModule(module: GoModule, entry: string): Promise<BuiltModule> {
  const names = module.tools.map((tool) => binaryName(module, tool))
  return {
    programs: new Map(names.map((name) => [name, join(entry, 'bin', name)])),
    crds: await crdFiles(join(entry, 'crds')),
  }
}
