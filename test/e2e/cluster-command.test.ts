import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { isSigned } from '../../functions/webhook/delivery.ts'
import { statusSchema } from './cluster/status.ts'

const main = fileURLToPath(new URL('cluster/main.ts', import.meta.url))

const readySchema = z.object({
  type: z.literal('ready'),
  directory: z.string(),
  kubeconfigs: z.object({ admin: z.string(), lockstep: z.string() }),
  repository: z.string(),
  start: z.string(),
})

/** A Lockstep that takes any push. */
async function startLockstep() {
  const bodies: { readonly body: Buffer; readonly signature: string }[] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.from(await text(request))
    bodies.push({ body, signature: String(request.headers['x-hub-signature-256']) })
    response.writeHead(202).end(JSON.stringify({ execution: `execution-${bodies.length}` }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { bodies, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook` }
}

describe('npm run cluster', () => {
  // Its own, so that clusters of others are not seen.
  let temporary: string
  let up: ChildProcess
  let ready: z.output<typeof readySchema>
  let lockstep: Awaited<ReturnType<typeof startLockstep>>

  const run = (...args: string[]) =>
    spawn(process.execPath, [main, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: temporary },
    })
  const order = async (...args: string[]) => {
    const child = run(...args)
    const exit = once(child, 'exit')
    const [output, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exit])
    return { code, output, complaint }
  }
  const status = async () => {
    const { complaint, output } = await order('status', '-o', 'json')
    expect(complaint).toBe('')
    return statusSchema.parse(JSON.parse(output))
  }

  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'lockstep-test-'))
    lockstep = await startLockstep()
    expect(await order('status')).toMatchObject({ code: 3, complaint: expect.stringContaining('No cluster runs.') })
    const started = run('-o', 'json', '--webhook', lockstep.url)
    up = started
    let seen = ''
    for await (const chunk of started.stdout.iterator({ destroyOnReturn: false })) {
      seen += chunk
      const line = seen.split('\n').find((each) => each.includes('"type":"ready"'))
      if (line === undefined) continue
      ready = readySchema.parse(JSON.parse(line))
      return
    }
    throw new Error(`It ended:\n${seen}${await text(started.stderr)}`)
  })

  afterAll(async () => {
    up?.kill('SIGKILL')
    lockstep?.server.close()
    await vi.waitFor(async () => expect(await readdir(temporary)).toEqual([]), { timeout: 240_000 })
    await rm(temporary, { recursive: true })
  })

  it('brings the fleet up, ready, with a commit that waits', async () => {
    const { objects, processes, tofuController } = await status()
    expect(processes.filter(({ pid }) => pid === undefined)).toEqual([])
    expect(tofuController).not.toBe('none')
    expect(objects.map(({ object, ready }) => `${object} ${ready}`)).toEqual(
      expect.arrayContaining([
        'GitRepository/flux-system/fleet-infra True',
        'HelmRelease/ingress/ingress-nginx True',
        'Kustomization/flux-system/my-api True',
        'Terraform/flux-system/database True',
      ]),
    )
    expect(lockstep.bodies).toEqual([])
    const payload = /--push (\S+)/.exec(ready.start)?.[1] ?? ''
    expect(JSON.parse(await readFile(payload, 'utf8'))).toMatchObject({
      ref: 'refs/heads/main',
      repository: { full_name: 'my-org/fleet-infra' },
    })
  })

  it('tells Lockstep of a push, signed as GitHub does', async () => {
    expect(await order('push', '--seconds', '0')).toMatchObject({
      code: 0,
      output: expect.stringContaining('execution-1'),
    })
    const [{ body, signature } = { body: Buffer.alloc(0), signature: '' }] = lockstep.bodies
    const secretFile = /\$\(cat (\S+)\)/.exec(ready.start)?.[1] ?? ''
    const delivery = { body, header: () => signature }
    expect(isSigned(delivery, { current: await readFile(secretFile, 'utf8') })).toBe(true)
  })

  it('stops and starts processes', async () => {
    expect(await order('stop', 'kube-apiserver')).toMatchObject({ code: 0, output: 'kube-apiserver is stopped\n' })
    expect((await status()).processes.find(({ name }) => name === 'kube-apiserver')).not.toHaveProperty('pid')
    expect(await order('start', 'kube-apiserver')).toMatchObject({ code: 0 })
    expect((await status()).objects.length).toBeGreaterThan(0)
  })

  it('injects faults, and says what is wrong with an order', async () => {
    expect(await order('fault', 'stop-controller')).toMatchObject({ code: 0 })
    expect((await status()).pods).toEqual([])
    expect(await order('fault', 'start-controller')).toMatchObject({ code: 0 })
    expect(await order('fault', 'kill-runner', 'Terraform/flux-system/none')).toMatchObject({
      code: 1,
      complaint: expect.stringContaining('Terraform/flux-system/none has no runner'),
    })
    expect(await order('stop', 'kubelet')).toMatchObject({ code: 1, complaint: expect.stringContaining('no process') })
    expect(await order('status', '--cluster', 'other')).toMatchObject({ code: 3 })
    expect(await order('stats')).toMatchObject({ code: 2, complaint: expect.stringContaining('did you mean status?') })
  })

  it('ends by Ctrl-C, and leaves nothing behind', async () => {
    const exit = once(up, 'exit')
    up.kill('SIGINT')
    expect(await exit).toEqual([0, null])
    expect(await readdir(temporary)).toEqual([])
  })
})
