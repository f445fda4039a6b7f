import { beforeEach, describe, expect, it } from 'vitest'
import { type ApprovePorts, approve } from '../../../functions/approve/approve.ts'
import { signLink } from '../../../functions/lib/approval/approval-link.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import type { Log } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { approvalFleet as fleet } from '../../fixtures/approval-fleet.ts'
import { approvalOf, askedAt, staleLock } from '../../fixtures/approvals.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryTaskTokens } from '../../fixtures/memory-task-tokens.ts'
import { rolloutTo } from '../../fixtures/notified-rollout.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'

const secrets = { current: 'a secret of the tests' }
let ledger: MemoryLedger
let tasks: MemoryTaskTokens
let now: number
let said: string[]
let ports: ApprovePorts

beforeEach(async () => {
  ledger = new MemoryLedger()
  tasks = new MemoryTaskTokens()
  now = askedAt + 60_000
  said = []
  const log: Log = {
    info: (...told) => said.push(JSON.stringify(told)),
    warn: (...told) => said.push(JSON.stringify(told)),
  }
  const clock = { now: () => now, after: () => () => {} }
  const unheard = { events: silentEvents, metrics: silentMetrics }
  ports = { ...unheard, ledger, tasks, fleet, log, clock, linkSecrets: async () => secrets }
  await ledger.writeObservation(staleLock)
  await ledger.writeApproval(approvalOf())
})

const { expiresAt, judged } = approvalOf()
const tokenOf = (approver: string, over = {}) =>
  signLink({ approval: 'unlock-1', approver, expiresAt, judged, ...over }, secrets)
const ask = (method: string, token: string, body?: string) =>
  approve(ports)({ method, token, headers: {}, isBase64Encoded: false, ...(body !== undefined && { body }) })
const look = (approver: string) => ask('GET', tokenOf(approver))
const decide = (approver: string, decision: string, more = '') =>
  ask('POST', tokenOf(approver), `decision=${decision}${more}`)
const stored = () => ledger.readApproval('unlock-1')
const isButton = (body: string) => body.includes('<button')

/** Everything that a request could have changed. */
const everything = async () => [
  await stored(),
  await ledger.listAudit('unlock-1'),
  [...tasks.answers],
  tasks.heartbeats,
]

describe('GET', () => {
  it('shows lock, evidence, plan, who asks and why, and a form', async () => {
    const { statusCode, body } = await look('bob')
    expect(statusCode).toBe(200)
    for (const shown of [
      ...['Unlock Terraform/flux-system/vpc in staging?', 'node lost', '0 of 2', 'Decide as bob', '<dd>ana</dd>'],
      ...[approvalOf().lock, 'Pod/flux-system/vpc-tf-runner', 'To unlock Terraform/flux-system/vpc', 'name="decision"'],
    ])
      expect(body).toContain(shown)
    expect(body).not.toContain('a task token')
    expect(body).not.toMatch(/<script|\son\w+=|https?:/)
  })

  it.each(['GET', 'HEAD'])('changes nothing by %s, whatever comes with it', async (method) => {
    const before = await everything()
    for (const approver of ['bob', 'ana', 'mallory']) await ask(method, tokenOf(approver), 'decision=approve')
    await ask(method, tokenOf('bob', { expiresAt: 1 }), 'decision=deny')
    now = expiresAt
    await ask(method, tokenOf('bob', { expiresAt: expiresAt + 1 }))
    expect(await everything()).toEqual(before)
  })

  it('is kept by nobody, takes no other content, and gives its address to nobody', async () => {
    const { headers } = await look('bob')
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; img-src data:;/)
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
  })

  it('shows what others wrote as text', async () => {
    const reason = `<img src=x onerror=alert(1)> "'&\u202Eevil`
    await ledger.writeApproval(approvalOf({ version: 2, reason }))
    const { body } = await look('bob')
    expect(body).toContain('&lt;img src=x onerror=alert(1)&gt; &quot;&#39;&amp;?evil')
    expect(body).not.toContain('<img')
  })

  it.each([
    ['ana', 'Ana asked for this unlock'],
    ['mallory', 'Mallory is not among the approvers'],
  ])('shows %s why there is no form', async (approver, why) => {
    const { statusCode, body } = await look(approver)
    expect(statusCode).toBe(200)
    expect(body.toLowerCase()).toContain(why.toLowerCase())
    expect(isButton(body)).toBe(false)
  })

  it('shows no form while the lock cannot be read, nor when it has changed', async () => {
    const { judgement } = staleLock
    await ledger.writeObservation({ ...staleLock, version: 2, judgement: { ...judgement, verdict: 'unknown' } })
    expect((await look('bob')).body).toContain('could not be read by the latest scan')
    await ledger.writeObservation({ ...staleLock, version: 3, judgement: { ...judgement, verdict: 'live' } })
    const { body } = await look('bob')
    expect(body).toContain('not what you were asked about any more')
    expect(isButton(body)).toBe(false)
  })
})

describe('POST', () => {
  it('writes down who approved, and answers the task when enough people have', async () => {
    expect(await decide('bob', 'approve', '&reason=seen+it')).toMatchObject({
      statusCode: 303,
      headers: { location: tokenOf('bob') },
    })
    expect(tasks.answers.size).toBe(0)
    expect((await look('carol')).body).toContain('1 of 2')
    expect((await decide('carol', 'approve')).statusCode).toBe(303)
    expect([...tasks.answers]).toEqual([['a task token', 'succeeded']])
    expect(await stored()).toMatchObject({
      decisions: [{ by: 'bob', decision: 'approve', reason: 'seen it', at: now }, { by: 'carol' }],
      closed: { how: 'approved' },
    })
    expect((await ledger.listAudit('unlock-1')).map(({ by, what }) => `${by}: ${what}`).sort()).toEqual([
      'approval: the approval ends as approved',
      'bob: approves the unlock',
      'carol: approves the unlock',
    ])
  })

  it('ends it with one who denies', async () => {
    await decide('bob', 'deny', '&reason=not+now')
    expect([...tasks.answers.values()]).toEqual(['UnlockDenied'])
    expect(await decide('carol', 'approve')).toMatchObject({ statusCode: 409 })
    expect((await look('carol')).body).toContain('It is denied.')
  })

  it('counts one person once, however often and by whatever link', async () => {
    await decide('bob', 'approve')
    const again = await decide('bob', 'approve')
    expect([again.statusCode, isButton(again.body)]).toEqual([409, false])
    expect(again.body).toContain('Bob has approved it already')
    await decide('BOB', 'approve')
    expect((await stored())?.decisions).toHaveLength(1)
    expect(tasks.answers.size).toBe(0)
  })

  it('counts both of two people who press at the same time', async () => {
    await Promise.all([decide('bob', 'approve'), decide('carol', 'approve')])
    expect((await stored())?.decisions.map(({ by }) => by).sort()).toEqual(['bob', 'carol'])
    expect([...tasks.answers.values()]).toEqual(['succeeded'])
  })

  it.each([
    ['of whoever asked', tokenOf('ana'), 409],
    ['of nobody of the fleet', tokenOf('mallory'), 409],
    ['that is expired', tokenOf('bob', { expiresAt: askedAt }), 410],
    ['about another lock', tokenOf('bob', { judged: 'another' }), 410],
    ['about another unlock', tokenOf('bob', { approval: 'unlock-2' }), 410],
    [
      'signed by somebody else',
      signLink({ approval: 'unlock-1', approver: 'bob', expiresAt, judged }, { current: 'x' }),
      404,
    ],
    ['cut short', tokenOf('bob').slice(0, -1), 404],
    ['that is none', '', 404],
  ] as const)('refuses a link %s', async (_, token, status) => {
    const before = await everything()
    const answer = await ask('POST', token, 'decision=approve')
    expect([answer.statusCode, isButton(answer.body)]).toEqual([status, false])
    expect(await everything()).toEqual(before)
  })

  it.each(['', 'decision=', 'decision=unlock', `decision=approve&reason=${'x'.repeat(301)}`, '{"decision":"approve"}'])(
    'takes nothing but the form: %s',
    async (body) => {
      const before = await everything()
      expect((await ask('POST', tokenOf('bob'), body)).statusCode).toBe(400)
      expect(await everything()).toEqual(before)
    },
  )

  it('takes no more than the form has, and no other method', async () => {
    expect((await ask('POST', tokenOf('bob'), `decision=approve&x=${'x'.repeat(5_000)}`)).statusCode).toBe(413)
    expect(await ask('DELETE', tokenOf('bob'))).toMatchObject({
      statusCode: 405,
      headers: { allow: 'GET, HEAD, POST' },
    })
    expect((await stored())?.decisions).toEqual([])
  })

  it('reads a body that comes in base64', async () => {
    const body = Buffer.from('decision=approve').toString('base64')
    const token = tokenOf('bob')
    expect((await approve(ports)({ method: 'POST', token, headers: {}, body, isBase64Encoded: true })).statusCode).toBe(
      303,
    )
  })

  it('ends an approval whose lock has changed, and takes none for one that cannot be read', async () => {
    const { judgement } = staleLock
    await ledger.writeObservation({ ...staleLock, version: 2, judgement: { ...judgement, verdict: 'unknown' } })
    expect((await decide('bob', 'approve')).body).toContain('could not be read by the latest scan')
    expect(tasks.answers.size).toBe(0)
    await ledger.writeObservation({ ...staleLock, version: 3, judgement: { ...judgement, rule: 'another' } })
    expect((await decide('bob', 'approve')).statusCode).toBe(409)
    expect([...tasks.answers.values()]).toEqual(['LockChanged'])
    expect(await stored()).toMatchObject({ decisions: [], closed: { how: 'changed' } })
  })

  it('takes a denial of a lock that has changed: it changes nothing', async () => {
    await ledger.writeObservation({ ...staleLock, version: 2, judgement: { ...staleLock.judgement, rule: 'another' } })
    expect((await decide('bob', 'deny')).statusCode).toBe(303)
    expect(await stored()).toMatchObject({ closed: { how: 'denied' } })
  })

  it('keeps a decision whose task cannot be answered now, for the next scan', async () => {
    tasks.down = true
    expect((await decide('bob', 'deny')).statusCode).toBe(303)
    expect((await stored())?.decisions).toHaveLength(1)
    expect(await stored()).not.toHaveProperty('closed')
  })
})

describe('of a plan', () => {
  const asked = planApprovalOf({ version: 2, id: 'unlock-1', rollout: rolloutTo('staging').id, judged })
  const rolloutIs = async (over: Partial<Rollout>) => {
    await ledger.writeApproval(asked)
    await ledger.writeRollout({ ...rolloutTo('staging'), ...over }, 0)
    tasks.gone.add('a task token')
  }

  it('says that the rollout has ended, and closes what it had asked', async () => {
    await rolloutIs({ outcome: 'failed' })
    const before = await everything()
    const { body } = await look('bob')
    expect(body).toContain('The rollout has ended.')
    expect(isButton(body)).toBe(false)
    expect(await everything()).toEqual(before)
    const answer = await decide('bob', 'deny')
    expect([answer.statusCode, answer.body.includes('The rollout has ended.')]).toEqual([409, true])
    expect(await stored()).toMatchObject({ decisions: [], closed: { how: 'ended' } })
  })

  it('takes a decision between two looks of the rollout', async () => {
    await rolloutIs({})
    expect((await decide('bob', 'approve')).statusCode).toBe(303)
    expect(await stored()).toMatchObject({ decisions: [{ by: 'bob' }], closed: { how: 'approved' } })
  })
})

it('says so where nobody waits for the unlock any more', async () => {
  tasks.gone.add('a task token')
  await decide('bob', 'approve')
  const last = await decide('carol', 'approve')
  expect([last.statusCode, isButton(last.body)]).toEqual([409, false])
  expect(last.body).toContain('The unlock does not wait for people any more.')
  expect(await stored()).toMatchObject({ closed: { how: 'gone' } })
})

it('answers 503 where it cannot tell, and decides nothing', async () => {
  ports = { ...ports, linkSecrets: async () => Promise.reject(new Error(secrets.current)) }
  const answer = await decide('bob', 'approve')
  expect(answer.statusCode).toBe(503)
  expect((await stored())?.decisions).toEqual([])
})

it('says neither a secret, nor a token, nor a link', async () => {
  await decide('bob', 'approve')
  await decide('carol', 'deny')
  ports = { ...ports, linkSecrets: async () => Promise.reject(new Error(secrets.current)) }
  const failed = await decide('bob', 'approve')
  const text = [...said, failed.body, JSON.stringify(await ledger.listAudit('unlock-1'))].join('\n')
  for (const secret of [secrets.current, 'a task token', tokenOf('bob'), tokenOf('bob').slice(-20)])
    expect(text).not.toContain(secret)
})
