import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(...args: string[]): Promise<Ran> {
  return runUntil(undefined, ...args)
}

/** Ends it, as Ctrl-C does, once it has said this. */
function runUntil(said: string | undefined, ...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, ['infra/local/main.ts', '--port', '0', ...args], {
    env: { ...process.env, LOCKSTEP_WEBHOOK_SECRET: 'a secret of the tests' },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data) => {
    stdout += data
    if (said !== undefined && stdout.includes(said)) child.kill('SIGINT')
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })))
}

const lines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

let directory: string
const file = (name: string) => join(directory, name)

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-main-'))
  mkdirSync(file('manifests'))
  writeFileSync(file('manifests/bad.yaml'), 'kind: A\n---\nkind: [\n')
  writeFileSync(file('empty.json'), '{}')
  writeFileSync(file('branch.json'), JSON.stringify(payload('refs/heads/feature')))
})

afterAll(() => rmSync(directory, { recursive: true }))

function payload(ref: string) {
  const html_url = 'https://github.com/my-org/fleet-infra'
  const repository = { full_name: 'my-org/fleet-infra', html_url, pushed_at: 1_767_603_582 }
  return { ref, before: 'a'.repeat(40), after: 'b'.repeat(40), repository, pusher: { name: 'ana' } }
}

it('rolls the demo out, tells it in JSON and nothing else, and ends with 0', async () => {
  const data = file('data')
  const { code, stdout, stderr } = await run('--once', '--json', '--speed', '20', '--data', data)
  const result = lines(stdout).at(-1)
  expect({ code, stderr, succeeded: result.succeeded }).toEqual({ code: 0, stderr: '', succeeded: true })
  expect(result.clusters.map(({ cluster }: { cluster: string }) => cluster)).toEqual(['staging', 'production'])
  expect(lines(stdout).map(({ type }) => type)).toContain('layer')
  expect(stdout).not.toContain('a secret of the tests')
})

it('goes on with a runner that is killed, a holder that lives, and a cluster that fails before others', async () => {
  const { stdout, stderr } = await runUntil('That was the demo', '--json', '--speed', '8')
  expect(stderr).toBe('')
  const all = lines(stdout)
  const results = all.filter(({ type }) => type === 'result')
  expect(results.map(({ succeeded }) => succeeded)).toEqual([true, true, true, false])
  expect(results.at(-1).waves).toMatchObject([
    { clusters: ['staging'], phase: 'incomplete', message: expect.stringContaining('1 later wave with 1 cluster') },
    { clusters: ['production'], phase: 'not begun', after: ['staging'] },
  ])
  const news = all.filter(({ type }) => type === 'unlock')
  const of = (object: string): string[] => news.filter((each) => each.object === object).map(({ what }) => what)
  expect(of('Terraform/flux-system/database').at(0)).toMatch(/^judged stale .* quiesce$/)
  expect(of('Terraform/flux-system/database').at(-1)).toBe('unlocked, and planned afresh')
  expect(of('Terraform/flux-system/vpc')).toEqual([
    expect.stringMatching(/^refused, and all is as it was: its pod and its container run/),
  ])
  const said = all.map(({ message = '' }) => message).join('\n')
  expect(said).toMatch(/From the verdict "stale" to Ready: .* of simulated time/)
})

describe('what cannot be set up ends with 2 and one message', () => {
  it.each([
    ['an unknown option', () => ['--sped', '4'], "Unknown option '--sped'. See --help.\n"],
    ['YAML that does not parse', () => ['--manifests', file('manifests')], 'bad.yaml, document 2: '],
    ['a file without a fleet', () => ['--fleet', file('empty.json')], 'has no key "lockstep"'],
    ['a push of another branch', () => ['--push', file('branch.json')], 'The branch is not in the fleet.'],
    [
      'no such kubeconfig',
      () => ['--kubeconfig', file('none'), '--cluster', 'staging'],
      'none cannot be read (ENOENT).',
    ],
  ])('%s', async (_what, args, message) => {
    const { code, stdout, stderr } = await run('--json', ...args())
    expect(stderr).toContain(message)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(code).toBe(2)
    expect(stdout.split('\n').filter((line) => line.includes('"result"'))).toEqual([])
  })
})

it('prints its help', async () => {
  const { code, stdout } = await run('--help')
  expect(code).toBe(0)
  expect(stdout).toContain('--manifests DIR')
})
