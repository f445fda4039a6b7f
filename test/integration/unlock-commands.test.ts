import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { approvalOf, staleLock } from '../fixtures/approvals.ts'
import { WaitingHost } from './waiting-host.ts'

let waiting: WaitingHost
beforeAll(async () => {
  waiting = await WaitingHost.start()
})
afterAll(() => waiting.close())

/** Nobody has decided yet. */
beforeEach(async () => {
  const stored = await waiting.host.ledger.readApproval('unlock-1')
  await waiting.host.ledger.writeApproval(approvalOf({ version: (stored?.version ?? 0) + 1 }))
})

/** `npm run locks -- …` against the host. */
async function locks(...args: readonly string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, ['infra/local/locks/main.ts', ...args, '--url', waiting.server.url])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
  return { code: await new Promise((resolve) => child.on('close', resolve)), output }
}

it('tell what waits for people', async () => {
  const { code, output } = await locks('approvals')
  expect(code).toBe(0)
  for (const text of ['Terraform/flux-system/vpc in staging', 'ana: node lost', '2 of bob, carol']) {
    expect(output).toContain(text)
  }
  const { approvals } = JSON.parse((await locks('approvals', '-o', 'json')).output)
  expect(approvals).toMatchObject([{ id: 'unlock-1', outcome: 'open' }])
  expect(approvals[0]).not.toHaveProperty('token')
})

it('approve as one person after the other, and not as whoever asked', async () => {
  expect(await locks('approve', 'vpc', '--as', 'ana')).toMatchObject({
    ...{ code: 2, output: expect.stringContaining('ana asked for this unlock') },
  })
  expect(await locks('approve', 'vpc', '--as', 'Bob', '--reason', 'seen')).toEqual({
    ...{ code: 0, output: 'The unlock of Terraform/flux-system/vpc in staging still waits for 1 of carol.\n' },
  })
  expect(await locks('approve', 'vpc', '--as', 'bob')).toMatchObject({
    ...{ code: 2, output: expect.stringContaining('bob has approved it already') },
  })
  const lock = staleLock.evidence.lock.record?.id.slice(0, 8) ?? ''
  expect(await locks('approve', lock, '--as', 'carol')).toEqual({
    ...{ code: 0, output: 'The unlock of Terraform/flux-system/vpc in staging is approved, and goes on.\n' },
  })
  expect(await waiting.decisions()).toEqual([
    { by: 'bob', decision: 'approve', reason: 'seen' },
    { by: 'carol', decision: 'approve', reason: undefined },
  ])
})

it('deny, and then nothing waits any more', async () => {
  expect(await locks('deny', 'unlock-1', '--as', 'carol', '--reason', 'not\u001bnow')).toMatchObject({ code: 0 })
  expect(await waiting.decisions()).toEqual([{ by: 'carol', decision: 'deny', reason: 'not now' }])
  expect(await locks('approve', 'vpc', '--as', 'bob')).toMatchObject({
    ...{ code: 2, output: expect.stringContaining('Nothing by the name vpc waits for people.') },
  })
})

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${waiting.server.url}${path}`, { method: 'POST', body: JSON.stringify(body), headers })
const { judged } = approvalOf()

it('are not for pages of other sites', async () => {
  const forged = { as: 'bob', decision: 'approve', judged }
  const status = new Promise((resolve) => {
    const headers = { origin: 'https://attacker.example' }
    const sent = request(`${waiting.server.url}/api/approvals/unlock-1`, { method: 'POST', headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.end(JSON.stringify(forged))
  })
  expect(await status).toBe(403)
  expect(await waiting.decisions()).toEqual([])
})

it.each([
  ['/api/approvals/unlock-1', { as: 'bob', decision: 'unlock', judged }, 400],
  ['/api/approvals/unlock-1', { as: 'bob', decision: 'approve' }, 400],
  ['/api/approvals/unlock-1', { as: 'bob', decision: 'approve', judged: 'another' }, 409],
  ['/api/approvals/unlock-2', { as: 'bob', decision: 'approve', judged }, 409],
  ['/api/approvals/unlock-1/more', { as: 'bob', decision: 'approve', judged }, 404],
  ['/api/approvals', {}, 405],
  ['/api/unlocks/unlock-1', {}, 405],
  ['/api/locks/0123456789abcdef/unlock', {}, 409],
  ['/api/locks/0123456789abcdef/unlock', { reason: 7 }, 400],
] as const)('refuse POST %s %j', async (path, body, status) => {
  expect((await post(path, body)).status).toBe(status)
  expect(await waiting.decisions()).toEqual([])
})

it('answer 404 for an unlock that is none', async () => {
  expect((await fetch(`${waiting.server.url}/api/unlocks/none`)).status).toBe(404)
})

it('show the same page as on AWS, with its own headers', async () => {
  const { approvals } = (await (await fetch(`${waiting.server.url}/api/approvals`)).json()) as {
    approvals: { people: { name: string; page: string }[] }[]
  }
  const [bob] = approvals[0]?.people ?? []
  const response = await fetch(`${waiting.server.url}${bob?.page}`)
  expect([bob?.name, response.status]).toEqual(['bob', 200])
  expect(response.headers.get('content-security-policy')).toContain("form-action 'self'")
  expect(response.headers.get('content-security-policy')).not.toContain('script-src')
  expect((await fetch(`${waiting.server.url}/approve/none`)).status).toBe(404)
})
