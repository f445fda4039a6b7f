import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** One of the small modules here that pin a program of somebody else. */
export interface GoModule {
  /** Name of its directory, such as `kubernetes`. */
  readonly name: string
  readonly directory: string
  readonly goMod: string
  readonly goSum: string
  /** Main packages, as its `tool` lines name them. */
  readonly tools: readonly string[]
  /** Oldest Go that builds it, such as `1.26.0`. */
  readonly goVersion: string
}

/** Every directory in `directory` that has a go.mod, in the order of their names. */
export async function readGoModules(directory: string): Promise<GoModule[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const modules = await Promise.all(names.sort().map((name) => readGoModule(join(directory, name))))
  return modules.filter((module) => module !== undefined)
}

async function readGoModule(directory: string): Promise<GoModule | undefined> {
  const goMod = await readFile(join(directory, 'go.mod'), 'utf8').catch(() => undefined)
  if (goMod === undefined) return undefined
  const goSum = await readFile(join(directory, 'go.sum'), 'utf8')
  const tools = directives(goMod, 'tool')
  const goVersion = directives(goMod, 'go')[0] ?? ''
  return { name: basename(directory), directory, goMod, goSum, tools, goVersion }
}

/** What follows the word, for each line of it and each line of its blocks: `tool a` and `tool (`, `b`, `)`. */
export function directives(goMod: string, word: string): string[] {
  const found: string[] = []
  let block = ''
  for (const line of goMod.split('\n')) {
    const [first = '', ...rest] = line
      .replace(/\/\/.*/, '')
      .trim()
      .split(/\s+/)
    if (first === ')') block = ''
    else if (rest[0] === '(') block = first
    else if (block === word && first) found.push([first, ...rest].join(' '))
    else if (!block && first === word) found.push(rest.join(' '))
  }
  return found
}

/** The version of what the module is here for: that of the required module with its tools, which is the longest path. */
export function pinnedVersion(module: GoModule): string {
  const required = directives(module.goMod, 'require').map((line) => line.split(' '))
  const owners = required.filter(([path = '']) => module.tools.some((tool) => `${tool}/`.startsWith(`${path}/`)))
  const [, version] = owners.sort(([a = ''], [b = '']) => b.length - a.length)[0] ?? []
  return version?.replace(/^v/, '') ?? 'unknown'
}

/** Last element of the package's path, or the module's own name where that is a version: `…/etcd/server/v3`. */
export function binaryName(module: GoModule, tool: string): string {
  const last = basename(tool)
  return /^v\d+$/.test(last) ? module.name : last
}
