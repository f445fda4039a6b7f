import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../functions/lib/kubernetes/cluster.ts'
import { type StandInCluster, standInCluster, standInToken } from '../fixtures/stand-in-cluster.ts'

let standIn: StandInCluster
let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-check-'))
})
afterAll(() => rmSync(directory, { recursive: true }))
beforeEach(async () => {
  standIn = await standInCluster({ authenticate: (token) => (token === standInToken ? 'tests' : undefined) })
  standIn.store.register(resources.OCIRepository)
})
afterEach(() => standIn.close())

async function check(...args: string[]) {
  const file = join(directory, 'kubeconfig')
  const here = `{cluster: {server: "${standIn.server.url}", insecure-skip-tls-verify: true}, name: here}`
  writeFileSync(
    file,
    `
apiVersion: v1
kind: Config
current-context: here
clusters: [${here}]
users: [{name: me, user: {token: ${standInToken}}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
`,
  )
  const child = spawn(process.execPath, ['infra/cluster/check/main.ts', ...args], {
    ...{ stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, KUBECONFIG: file } },
  })
  const closed = once(child, 'close')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  // A busy machine has the time to say what it waits for.
  return { code: (await closed)[0], stdout, stderr: stderr.replace(/^Waiting for cluster .*\n/m, '') }
}

describe('npm run check:cluster ends with', () => {
  it('0 where all is there, and says so by the name of the context', async () => {
    const { code, stdout, stderr } = await check()
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^here \(http.*\), asked as tests\n[\s\S]*\nEverything that Lockstep needs is there\.\n$/)
  })

  it('1 where something is missing, as one JSON document where that is asked for', async () => {
    standIn.store.unregister(resources.GitRepository)
    const { code, stdout } = await check('-o', 'json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ cluster: 'here', ok: false, problems: [{ name: 'FluxMissing' }] })
  })

  it('2 where nobody answers', async () => {
    await standIn.server.close()
    const { code, stdout, stderr } = await check()
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining('ECONNREFUSED') })
    standIn = await standInCluster()
  })

  it('2 where it makes no sense, with what to do', async () => {
    expect(await check('--context', 'there')).toMatchObject({ code: 2, stderr: expect.stringContaining('one of here') })
    expect(await check('--group')).toMatchObject({ code: 2, stderr: expect.stringContaining('See --help') })
  })

  it('0 after its help', async () => {
    expect(await check('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('Examples:') })
  })
})
