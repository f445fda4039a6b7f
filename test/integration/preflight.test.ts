import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../functions/lib/kubernetes/cluster.ts'
import { type StandInCluster, standInCluster, standInToken } from '../fixtures/stand-in-cluster.ts'

let standIn: StandInCluster
let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-preflight-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

beforeEach(async () => {
  standIn = await standInCluster({ authenticate: (token) => (token === standInToken ? 'tests' : undefined) })
  standIn.store.register(resources.OCIRepository)
})
afterEach(() => standIn.close())

function start({ server = standIn.server.url, token = standInToken } = {}): ChildProcess {
  const file = join(directory, 'kubeconfig')
  writeFileSync(
    file,
    `
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "${server}", insecure-skip-tls-verify: true}}]
users: [{name: me, user: {token: ${token}}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
`,
  )
  const args = ['infra/local/main.ts', '--port', '0', '--kubeconfig', file, '--cluster', 'staging']
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } })
}

async function ended(child: ChildProcess) {
  const [stdout, stderr, [code]] = await Promise.all([
    child.stdout ? text(child.stdout) : '',
    child.stderr ? text(child.stderr) : '',
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}

/** Without what a busy machine gives the time to say. */
const unhurried = (stdout: string) => stdout.replace(/^Waiting for cluster .*\n/m, '')

describe('npm start -- --kubeconfig, for a cluster that cannot work, ends with 2 and one message:', () => {
  it('nobody answers', async () => {
    // A port that nobody is given by chance, and that fetch does not refuse.
    const server = 'https://127.0.0.1:2'
    const { code, stdout, stderr } = await ended(start({ server }))
    expect({ code, stdout: unhurried(stdout), stderr }).toEqual({
      ...{ code: 2, stdout: '' },
      stderr: `staging: GET /version failed with ECONNREFUSED (${server}). Check that the cluster's API server is up and can be reached from here, then try again.\n`,
    })
  })

  it('it does not speak TLS', async () => {
    const server = standIn.server.url.replace('http:', 'https:')
    const { code, stderr } = await ended(start({ server }))
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('No TLS connection came about') })
  })

  it('it does not know the token, which is not told', async () => {
    const { code, stdout, stderr } = await ended(start({ token: 'an-unknown-token' }))
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('was answered with 401') })
    expect(stdout + stderr).not.toContain('an-unknown-token')
  })

  it('it lacks Flux', async () => {
    standIn.store.unregister(resources.GitRepository)
    standIn.store.unregister(resources.Kustomization)
    const { code, stdout, stderr } = await ended(start())
    expect({ code, stdout: unhurried(stdout) }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`Lockstep cannot work with cluster staging (${standIn.server.url}):\n  It lacks Flux`)
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})

it('warns of what will not be put in order, and serves', async () => {
  standIn.store.unregister(resources.Terraform)
  const child = start()
  let stdout = ''
  child.stdout?.on('data', (data) => {
    const isServing = stdout.includes('Serving until')
    stdout += data
    // Once: a second signal ends it where it is.
    if (!isServing && stdout.includes('Serving until')) child.kill('SIGTERM')
  })
  const { code, stderr } = await ended(child)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(unhurried(stdout)).toMatch(
    /^warning: staging: The CRD terraforms\.infra\.contrib\.fluxcd\.io .*\nconsole http/,
  )
})

it('ends at once when it is interrupted while the cluster does not answer', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const child = start({ server: `http://127.0.0.1:${(silent.address() as AddressInfo).port}` })
  child.stdout?.on('data', (data) => {
    if (`${data}`.includes('Waiting for cluster staging')) child.kill('SIGINT')
  })
  expect((await ended(child)).code).toBe(0)
  silent.close()
})
