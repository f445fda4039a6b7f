import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readGoModules } from '../../e2e/upstream/go-module.ts'
import { type BuiltModule, builtModules } from '../../e2e/upstream/upstream.ts'
import { scratch, script } from './scratch.ts'

const goEnv = (version: string) => `{"GOVERSION":"go${version}","GOOS":"linux","GOARCH":"amd64"}`

/** A module, a `go` that says what it is told, and a cache. */
class Bench {
  readonly said: string[] = []
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  static async make(): Promise<Bench> {
    const bench = new Bench(await scratch())
    await mkdir(bench.path('modules/flux'), { recursive: true })
    await bench.write('modules/flux/go.mod', ['go 1.26.6', 'tool x.org/flux/cmd/flux', 'require x.org/flux v2.0.1'])
    await bench.write('modules/flux/go.sum', ['x.org/flux v2.0.1 h1:0'])
    await mkdir(bench.path('bin'))
    return bench
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  async write(name: string, lines: readonly string[]): Promise<void> {
    await writeFile(this.path(name), lines.join('\n'))
  }

  /** What its commands do. Every build is written down. */
  async go(commands: { env?: string; build?: string } = {}): Promise<void> {
    const { env = `echo '${goEnv('1.26.8')}'`, build = ':' } = commands
    await mkdir(this.path('module/config/crd/bases'), { recursive: true })
    await this.write('module/config/crd/bases/things.yaml', ['kind: CustomResourceDefinition'])
    await this.write('module/config/crd/bases/README.md', [''])
    await script(this.path('bin/go'), [
      `[ "$1" = env ] && { ${env}; exit; }`,
      `[ "$1" = list ] && { echo '{"Module":{"Dir":"${this.path('module')}"}}'; exit; }`,
      `echo "$@" >>'${this.path('builds')}'; env >>'${this.path('env')}'`,
      build,
      'while [ "$1" != -o ]; do shift; done',
      'mkdir -p "$(dirname "$2")" && echo program >"$2"',
    ])
  }

  async built(): Promise<BuiltModule> {
    // Nothing but the fake and what a shell script needs.
    const env = { PATH: `${this.path('bin')}:/usr/bin:/bin`, LOCKSTEP_CACHE: this.path('cache'), AWS_SECRET: 'hidden' }
    const modules = await readGoModules(this.path('modules'))
    const [module] = await builtModules(modules, { say: (line) => this.said.push(line), env, pauseMs: 1 })
    if (!module) throw new Error('no module')
    return module
  }

  async builds(): Promise<string[]> {
    const text = await readFile(this.path('builds'), 'utf8').catch(() => '')
    return text.trim().split('\n').filter(Boolean)
  }
}

describe('upstream modules', () => {
  it('are built once, with their CRDs and in an environment of their own, and a second time without a word', async () => {
    const bench = await Bench.make()
    await bench.go()
    const first = await bench.built()
    expect(await readFile(first.programs.get('flux') ?? '', 'utf8')).toBe('program\n')
    expect(first.crds).toHaveLength(1)
    expect(await readFile(first.crds[0] ?? '', 'utf8')).toContain('CustomResourceDefinition')
    expect(bench.said).toEqual([
      `Building 1 of 1 upstream modules with Go 1.26.8 into ${bench.path('cache')}.`,
      'flux 2.0.1 (1 of 1) ...',
      expect.stringMatching(/^flux 2\.0\.1 \(1 of 1\): \d+ s$/),
    ])
    expect(await bench.built()).toEqual(first)
    expect(bench.said).toHaveLength(3)
    expect(await bench.builds()).toEqual([expect.stringMatching(/^build -mod=readonly -trimpath -ldflags=-s -w -o /)])
    const env = await readFile(bench.path('env'), 'utf8')
    expect(env).toContain('CGO_ENABLED=0\n')
    expect(env).not.toContain('hidden')
  })

  it('are built again when what they pin or the Go that builds them is another', async () => {
    const bench = await Bench.make()
    await bench.go()
    await bench.built()
    await bench.write('modules/flux/go.sum', ['x.org/flux v2.0.1 h1:1'])
    await bench.built()
    await bench.go({ env: `echo '${goEnv('1.27.0')}'` })
    await bench.built()
    expect(await bench.builds()).toHaveLength(3)
  })

  it('need Go, and say who needs it', async () => {
    const bench = await Bench.make()
    // Only an empty directory: the machine may well have a Go.
    const modules = await readGoModules(bench.path('modules'))
    const missing = builtModules(modules, { say: () => {}, env: { PATH: bench.path('bin') } })
    await expect(missing).rejects.toMatchObject({ name: 'GoMissing', next: expect.stringContaining('Go 1.26.6 or') })
    await expect(missing).rejects.toThrow('`npm test` and `npm start` do not')
  })

  it.each([
    ['says its version', `echo '${goEnv('1.25.9')}'`],
    ['refuses', `echo 'go: go.mod requires go >= 1.26.6 (running go 1.25.9; GOTOOLCHAIN=local)' >&2; exit 1`],
  ])('need a Go that is new enough, when an old one %s', async (_, env) => {
    const bench = await Bench.make()
    await bench.go({ env })
    const message = expect.stringContaining('Go 1.25.9 is too old: the modules need Go 1.26.6')
    await expect(bench.built()).rejects.toMatchObject({ name: 'GoTooOld', message })
    expect(await bench.builds()).toEqual([])
  })

  it('name a Go that does not work', async () => {
    const bench = await Bench.make()
    await bench.go({ env: 'echo broken installation >&2; exit 2' })
    const message = expect.stringContaining('broken installation')
    await expect(bench.built()).rejects.toMatchObject({ name: 'GoBroken', message })
  })

  it('that do not build are named, with the end of the output and where all of it is', async () => {
    const bench = await Bench.make()
    await bench.go({ build: 'seq 100; echo main.go:3: undefined: x >&2; exit 1' })
    const log = bench.path('cache/logs/flux.log')
    const message = expect.stringMatching(/^flux does not build[\s\S]*undefined: x[\s\S]*flux\.log/)
    await expect(bench.built()).rejects.toMatchObject({
      name: 'UpstreamNotBuilt',
      message,
      next: expect.stringContaining(log),
    })
    expect(await readFile(log, 'utf8')).toContain('1\n2\n3\n')
    expect(await readdir(bench.path('cache/unfinished'))).toEqual([])
    await bench.go()
    expect((await bench.built()).programs.has('flux')).toBe(true)
  })

  it('are tried again when the network loses something, and not for ever', async () => {
    const unreachable = 'echo "go: x.org/flux: dial tcp: lookup proxy.golang.org: no such host" >&2; exit 1'
    const bench = await Bench.make()
    await bench.go({ build: unreachable })
    await expect(bench.built()).rejects.toMatchObject({
      name: 'RegistryUnreachable',
      message: expect.stringMatching(/^The Go module proxy cannot be reached[\s\S]*lookup proxy/),
    })
    expect(await bench.builds()).toHaveLength(3)
    await bench.go({ build: `[ "$(wc -l <'${bench.path('builds')}')" -lt 5 ] && { ${unreachable}; }` })
    expect((await bench.built()).programs.has('flux')).toBe(true)
  })
})
