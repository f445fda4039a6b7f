import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../functions/lib/clock.ts'
import { PortUnavailable, startHttpServer } from '../../infra/local/http-server.ts'
import { LocksClient } from '../../infra/local/locks/locks-client.ts'
import { FindingsClient } from '../../infra/local/sweep/findings-client.ts'
import type { ExecutionLine, ExecutionView } from '../../infra/local/views/execution-view.ts'
import type { LockLine, LockView } from '../../infra/local/views/lock-view.ts'
import type { RolloutView } from '../../infra/local/views/rollout-view.ts'
import type { UnlockView } from '../../infra/local/views/unlock-view.ts'
import { ServedHost } from './served-host.ts'

let served: ServedHost

beforeAll(async () => {
  served = await ServedHost.start()
})

afterAll(() => served.close())

const call = (path: string, options?: RequestInit) => fetch(`${served.server.url}${path}`, options)

interface Answers {
  readonly rollouts: readonly RolloutView[]
  readonly rollout: RolloutView
  readonly executions: readonly ExecutionLine[]
  readonly locks: readonly LockLine[]
  readonly lock: LockView
  readonly unlock: UnlockView
}

const read = async (path: string) => (await (await call(path)).json()) as Answers & ExecutionView

/** A request whose headers fetch would not let us choose. Answers its status. */
function raw(path: string, headers: Record<string, string>, method = 'GET', chunks: readonly Buffer[] = []) {
  return new Promise<number>((resolve, reject) => {
    const sent = request(`${served.server.url}${path}`, { method, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    sent.on('error', reject)
    for (const chunk of chunks) sent.write(chunk)
    sent.end()
  })
}

describe('the webhook', () => {
  it('refuses a forged delivery as the function does', async () => {
    expect(await served.push('another secret')).toMatchObject({ status: 401 })
  })

  it('refuses a body of more than 6 MB by its length, before it is sent', async () => {
    const length = String(7 * 1024 * 1024)
    const status = new Promise((resolve, reject) => {
      const sent = request(`${served.server.url}/webhook`, { method: 'POST', headers: { 'content-length': length } })
      sent.on('response', (response) => resolve(response.statusCode))
      sent.on('error', reject)
      sent.flushHeaders()
    })
    expect(await status).toBe(413)
  })

  it('refuses a body of more than 6 MB that does not tell its length', async () => {
    const chunk = Buffer.alloc(1024 * 1024)
    expect(await raw('/webhook', { 'transfer-encoding': 'chunked' }, 'POST', Array(7).fill(chunk))).toBe(413)
  })

  it('takes deliveries by POST only', async () => {
    expect((await call('/webhook')).status).toBe(405)
  })
})

describe('the page', () => {
  it.each(['/', '/console.css', '/console.js'])('serves %s with a policy against foreign scripts', async (path) => {
    const response = await call(path)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('has no script or style in its markup', async () => {
    expect(await (await call('/')).text()).not.toMatch(/<script(?! type="module" src)|<style|\son\w+=|\sstyle=/)
  })

  it.each(['/console.ts', '/..%2fhost.ts', '/../host.ts', '/constructor', '/api', '/api/none'])(
    'has nothing at %s',
    async (path) => {
      expect(await raw(path, {})).toBe(404)
    },
  )

  it('answers an address that is not well-formed with 400', async () => {
    expect(await raw('/api/rollouts/%E0%A4%A', {})).toBe(400)
  })

  it('answers by its own name only, so that no other name can be bound to it', async () => {
    expect(await raw('/api/rollouts', { host: 'attacker.example' })).toBe(403)
    expect(await raw('/api/rollouts', { host: `localhost:${served.server.port}` })).toBe(200)
  })
})

describe('findings', () => {
  it('are those of the latest sweep, which a person may have begin now', async () => {
    const never = await (await call('/api/findings')).json()
    expect(never).toMatchObject({ findings: [], clusters: [{ cluster: 'staging', more: 0 }] })
    expect((await call('/api/findings/staging')).status).toBe(405)
    expect((await call('/api/findings/nowhere', { method: 'POST' })).status).toBe(404)
    expect(await raw('/api/findings/staging', { origin: 'https://attacker.example' }, 'POST')).toBe(403)

    const answer = await new FindingsClient(served.server.url, systemClock).sweep('staging')
    expect(answer.clusters).toMatchObject([{ cluster: 'staging', sweptAt: expect.any(Number) }])
    await expect(new FindingsClient(served.server.url, systemClock).list('nowhere')).rejects.toThrow('It has staging.')
  })
})

describe('a rollout that is held', () => {
  it('is listed, shown with its objects, released by a person, and told as events', async () => {
    const events = (await call('/api/events')).body?.pipeThrough(new TextDecoderStream()).getReader()
    served.faults.fail('Terraform/flux-system/database')
    const { execution } = await served.push()
    const { id } = await served.reaches('held')
    expect(id).toBe(`${execution}.staging`)

    const { rollouts } = await read('/api/rollouts')
    expect(rollouts).toMatchObject([{ id, cluster: 'staging', status: 'held', state: 'WaitForRecovery' }])
    expect(rollouts[0]?.layers[0]?.objects).toBeUndefined()

    const { rollout } = await read(`/api/rollouts/${id}`)
    const apps = rollout.layers.at(-1)
    expect(apps).toMatchObject({ name: 'apps', phase: 'held', counts: { held: 1 } })
    expect(apps?.objects[0]?.why).toBe('behind Terraform/flux-system/database')

    const release = `/api/rollouts/${id}/release`
    expect((await call(release)).status).toBe(405)
    expect(await raw(release, { origin: 'https://attacker.example' }, 'POST')).toBe(403)
    expect(await raw(release, { 'sec-fetch-site': 'cross-site' }, 'POST')).toBe(403)
    expect((await call(release, { method: 'POST', headers: { origin: served.server.url } })).status).toBe(202)
    await served.reaches('released')
    expect((await call(release, { method: 'POST' })).status).toBe(409)

    expect((await events?.read())?.value).toContain('data: ')
    await events?.cancel()
  })

  it('has an execution with its history, its parent and its children', async () => {
    const id = (await read('/api/rollouts')).rollouts[0]?.id ?? ''
    const fleet = id.replace('.staging', '')
    const view = await read(`/api/executions/rollout/${id}`)
    expect(view.parent).toEqual({ machine: 'fleet', name: fleet, status: 'SUCCEEDED' })
    expect(view.events[0]).toMatchObject({ id: 1, previousEventId: 0, type: 'ExecutionStarted' })
    expect((await read(`/api/executions/fleet/${fleet}`)).children).toMatchObject([{ machine: 'rollout', name: id }])
    const { executions } = await read('/api/executions')
    expect(executions.filter(({ machine }) => !['lock-scan', 'sweep'].includes(machine))).toHaveLength(2)
  })
})

describe('the ghost lock of the demo', () => {
  const invoices = 'Terraform/billing/invoices'

  it('is listed and explained, and cannot be touched', async () => {
    const { key } = await served.seesLock()
    const { locks } = await read('/api/locks')
    expect(locks).toMatchObject([
      { key, cluster: 'staging', object: invoices, who: 'runner@invoices-tf-runner', verdict: 'suspect' },
    ])
    const { lock } = await read(`/api/locks/${key}`)
    expect(lock).toMatchObject({ key, scene: 'silent ghost', rule: 'dead-but-not-quiet' })
    expect(lock.explanation.evidence.find(({ what }) => what === 'pod')?.found).toBe('gone')
    expect((await call(`/api/locks/${key}`, { method: 'DELETE' })).status).toBe(405)
    expect((await call('/api/locks/0123456789abcdef')).status).toBe(404)
  })

  it('has no plan of an unlock before it is stale', async () => {
    const { key } = await served.seesLock()
    const { unlock } = await read(`/api/locks/${key}/unlock`)
    expect(unlock).toMatchObject({ key, plan: { outcome: 'refused', rule: 'suspect' } })
    expect((await call(`/api/locks/${key}/unlock`, { method: 'DELETE' })).status).toBe(405)
    for (const path of ['0123456789abcdef/unlock', `${key}/break`, `${key}/unlock/more`]) {
      expect((await call(`/api/locks/${path}`)).status).toBe(404)
    }
  })

  it.each([invoices, 'invoices'])('is found by a client as %s, and by its own id', async (name) => {
    const client = new LocksClient(served.server.url)
    const { lock } = await client.find(name)
    expect(lock.object).toBe(invoices)
    expect((await client.find(lock.id?.slice(0, 6) ?? '')).lock.key).toBe(lock.key)
    expect((await client.find(lock.key)).lock.key).toBe(lock.key)
    await expect(client.find('vpc')).rejects.toThrow('No scan has found a lock vpc.')
    await expect(new LocksClient('http://127.0.0.1:1').list()).rejects.toThrow('No local host answers')
  })

  it.each([
    [['list'], 1, invoices],
    [['explain', 'invoices', '-o', 'json'], 1, '"rule":"dead-but-'],
    [['unlock', 'invoices', '--dry-run'], 1, 'Refused (rule suspect):'],
    [['unlock', 'invoices', '--dry-run', '-o', 'json'], 1, '"outcome":"refused"'],
    [['unlock', 'invoices'], 1, 'Refused: Terraform/billing/invoices in staging stays locked: '],
    [['unlock', 'invoices', '-o', 'json'], 1, '"outcome":"refused"'],
    [['approvals'], 0, 'Nothing waits for people.'],
    [['approve', 'invoices', '--as', 'bob'], 2, 'Nothing by the name invoices waits for people.'],
    [['show', 'none'], 2, 'No scan has found a lock none.'],
  ])('is told by npm run locks -- %j, which ends with %i', async (args, code, text) => {
    const url = ['--url', served.server.url]
    const child = spawn(process.execPath, ['infra/local/locks/main.ts', ...args, ...url])
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(code)
    expect(output).toContain(text)
  })
})

it('answers 404 for what is not there', async () => {
  for (const path of ['/api/rollouts/none', '/api/executions/none/none', '/api/executions/rollout/none']) {
    expect((await call(path)).status).toBe(404)
  }
})

it('stops an execution', async () => {
  served.faults.fail('Terraform/flux-system/database')
  const { execution } = await served.push()
  await served.reaches('held')
  const response = await call(`/api/executions/fleet/${execution}/stop`, { method: 'POST' })
  expect(response.status).toBe(202)
  expect((await served.reaches('aborted')).id).toBe(`${execution}.staging`)
})

it('says that a port is taken', async () => {
  const { host, live, locks, unlocks, waves } = served
  const { interpreter, ledger } = host
  const clock = { now: () => 0, after: () => () => {} }
  const webhook = host.webhook
  const again = {
    ...host.unlockRoutes,
    webhook,
    live,
    interpreter,
    ledger,
    locks,
    unlocks,
    findings: served.findings,
    waves,
    clock,
    speed: 1,
    person: 'ana',
    port: served.server.port,
  }
  await expect(startHttpServer(again)).rejects.toThrow(PortUnavailable)
})
