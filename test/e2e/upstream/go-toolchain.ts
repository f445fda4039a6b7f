import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { z } from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type Environment, passed } from './environment.ts'
import type { GoModule } from './go-module.ts'

export interface GoToolchain {
  /** Such as `1.26.8`. */
  readonly version: string
  /** Such as `linux/amd64`. */
  readonly platform: string
  /** All of the environment that Go runs with. */
  readonly env: Readonly<Record<string, string>>
}

const whoNeedsIt = 'Only `npm run test:e2e` and `npm run cluster` need Go; `npm test` and `npm start` do not.'

/** There is no `go` on PATH. */
export class GoMissing extends LockstepError {
  constructor(wanted: string) {
    const message =
      'Go is not installed: there is no `go` on PATH, and it builds the real programs that the suites run.'
    super('GoMissing', message, `Install Go ${wanted} or newer (https://go.dev/dl). ${whoNeedsIt}`)
  }
}

/** There is one, and it cannot build the modules. */
export class GoTooOld extends LockstepError {
  constructor(found: string, wanted: string) {
    const next = `Install Go ${wanted} or newer (https://go.dev/dl), or let Go fetch it: GOTOOLCHAIN=auto. ${whoNeedsIt}`
    super('GoTooOld', `Go ${found} is too old: the modules need Go ${wanted}.`, next)
  }
}

/** `go` does not even answer what it is. */
export class GoBroken extends LockstepError {
  constructor(message: string) {
    super('GoBroken', `\`go env\` failed: ${message}`, `See whether \`go version\` works. ${whoNeedsIt}`)
  }
}

const run = promisify(execFile)
const answer = z.object({ GOVERSION: z.string(), GOOS: z.string(), GOARCH: z.string() })
/** Go's own settings that say where things come from and where they are kept. What is built is said here. */
const settings = [
  ...['GOPROXY', 'GONOPROXY', 'GOPRIVATE', 'GOSUMDB', 'GONOSUMDB', 'GOINSECURE', 'GOAUTH', 'NETRC'],
  ...['GOROOT', 'GOPATH', 'GOMODCACHE', 'GOCACHE', 'GOTOOLCHAIN', 'GOMAXPROCS'],
]

/** The Go that builds the modules. Throws GoMissing, GoTooOld and GoBroken. */
export async function goToolchain(modules: readonly GoModule[], env: Environment): Promise<GoToolchain> {
  const newest = modules.reduce((found, module) => (isOlder(found.goVersion, module.goVersion) ? module : found))
  const wanted = newest.goVersion
  const goEnv = { ...passed(env, settings), CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' }
  const found = answer.parse(JSON.parse(await askGo(newest, goEnv)))
  const version = found.GOVERSION.replace(/^go/, '')
  if (isOlder(version, wanted)) throw new GoTooOld(version, wanted)
  return { version, platform: `${found.GOOS}/${found.GOARCH}`, env: goEnv }
}

/** In the module's directory, since its go.mod decides which Go runs. */
async function askGo(module: GoModule, env: Record<string, string>): Promise<string> {
  try {
    const { stdout } = await run('go', ['env', '-json', 'GOVERSION', 'GOOS', 'GOARCH'], { cwd: module.directory, env })
    return stdout
  } catch (error) {
    if (!(error instanceof Error)) throw error
    if ('code' in error && error.code === 'ENOENT') throw new GoMissing(module.goVersion)
    const tooOld = /requires go >= \S+ \(running go (\d[\d.]*)/.exec(error.message)
    throw tooOld?.[1] ? new GoTooOld(tooOld[1], module.goVersion) : new GoBroken(error.message)
  }
}

/** By numbers: 1.9 is older than 1.26. What comes after them, as in `1.26rc1`, does not count. */
function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split('.').map((part) => Number.parseInt(part, 10) || 0))
  for (const place of [0, 1, 2]) {
    const difference = (a?.[place] ?? 0) - (b?.[place] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
