import { afterEach, expect, test } from 'vitest'
import type { PlanApprovalLine } from '../../infra/local/views/approval-view.ts'
import { configMap, helmRepository, keys, layered, roots, terraform } from './layered-fleet.ts'
import { type Pushed, World } from './world.ts'

const minute = 60_000
const manual = (how: 'json' | 'human' | 'none' = 'json') => ({ approvePlan: '', storeReadablePlan: how })
/** Two objects of the first layer whose plans people approve, and what comes after them. */
const dns = 'Terraform/flux-system/dns'
const objects = [
  terraform('vpc', { layer: 'network', spec: manual('json') }),
  terraform('dns', { layer: 'network', spec: manual('human') }),
  layered.app,
]
const files = {
  'root/all.yaml': [helmRepository(), ...objects],
  'app/config.yaml': [configMap('app', { version: '1' })],
}

let world: World
afterEach(() => world.close())

async function start(plans: object = {}, more: object = {}) {
  world = await World.start(roots, files, {
    plans: { approvers: ['bob', 'carol'], approvalFor: '4h', ...plans },
    ...more,
  })
}

const waiting = async () =>
  (await world.busy(() => world.host.unlockRoutes.approvals.list())).filter((each) => each.kind === 'plan')

/** Waits until people are asked about the plans of just these objects. */
const asked = (...wanted: readonly string[]) =>
  world.until(`questions about ${wanted}`, async () => {
    const lines = await waiting()
    const isAll = lines.length === wanted.length && wanted.every((key) => lines.some(({ object }) => object === key))
    return isAll && new Map(lines.map((line) => [line.object, line]))
  })

function lineOf(lines: ReadonlyMap<string, PlanApprovalLine>, key: string): PlanApprovalLine {
  const line = lines.get(key)
  if (!line) throw new Error(`nobody is asked about ${key}`)
  return line
}

/** What a person does with the link that the console knows. */
const page = (method: string, { people }: PlanApprovalLine, by: string, body?: string) => {
  const address = people.find(({ name }) => name === by)?.page ?? ''
  return world.busy(() =>
    world.host.unlockRoutes.approve({
      ...{ method, token: address.slice(address.lastIndexOf('/') + 1), headers: {}, isBase64Encoded: false },
      ...(body !== undefined && { body }),
    }),
  )
}
const approve = (line: PlanApprovalLine, by = 'bob') => page('POST', line, by, 'decision=approve')

async function push(): Promise<Pushed> {
  const pushed = world.change()
  await world.deliver(pushed)
  return pushed
}

const spec = (key: string) => world.object(key).spec as { approvePlan?: string }
const mark = (key: string) => world.object(key).metadata.annotations?.['lockstep.dev/approved-plan']
const runsOf = (key: string) => world.runs().filter((run) => run.key === key)

test('plans of one layer are asked about at once, applied as they are approved, and what comes after waits for all', async () => {
  await start()
  const pushed = await push()
  const lines = await asked(keys.vpc, dns)
  expect(world.state(pushed)).toBe('AskForPlanApproval')
  const vpc = lineOf(lines, keys.vpc)
  expect(vpc).toMatchObject({ requestedBy: 'ana', needed: 1, plan: `plan-main-${world.commit.slice(0, 10)}` })
  const shown = await page('GET', vpc, 'bob')
  for (const text of ['destroys or replaces 1 resource', 'terraform_data.main', '1 to add, 0 to change, 1 to destroy'])
    expect(shown.body).toContain(text)
  expect((await page('GET', lineOf(lines, dns), 'carol')).body).toContain('# terraform_data.main must be replaced')
  expect(spec(keys.vpc).approvePlan).toBe('')

  expect((await approve(vpc)).statusCode).toBe(303)
  await world.until('the apply of vpc', () => runsOf(keys.vpc).some(({ outcome }) => outcome === 'succeeded'))
  const left = await asked(dns)
  expect(runsOf(keys.app)).toEqual([])
  expect(runsOf(dns).map(({ outcome }) => outcome)).toEqual(['waiting-for-approval'])
  await approve(lineOf(left, dns), 'carol')
  const ended = await world.ended(pushed)
  expect(ended).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'succeeded' } })
  expect(ended.rollout.notes.join('\n')).toContain(`${keys.vpc}: bob approved ${vpc.plan}.`)
  expect(runsOf(keys.app)[0]?.startedAt).toBeGreaterThan(runsOf(dns).at(-1)?.startedAt ?? Number.NaN)
  // As it was before: the next plan of the same commit is not approved by that.
  for (const key of [keys.vpc, dns]) expect([spec(key).approvePlan, mark(key)]).toEqual(['', undefined])
  expect(world.leftovers()).toEqual([])
})

test('two people have to agree where the policy says so, and not whoever pushed', async () => {
  await start({ policy: { staging: 'two-approvals' }, approvers: ['ana', 'bob', 'carol'] })
  const pushed = await push()
  const lines = await asked(keys.vpc, dns)
  for (const line of lines.values()) {
    expect(line.people.map(({ name }) => name)).toEqual(['bob', 'carol'])
    await approve(line, 'bob')
  }
  await new Promise<void>((resolve) => world.clock.after(minute, resolve))
  expect(spec(keys.vpc).approvePlan).toBe('')
  for (const line of (await asked(keys.vpc, dns)).values()) await approve(line, 'carol')
  expect(await world.ended(pushed)).toMatchObject({ status: 'SUCCEEDED' })
})

test('a denial holds what comes after, as a failure does, and the report says who denied', async () => {
  await start({}, { holdFor: '20m' })
  const pushed = await push()
  const lines = await asked(keys.vpc, dns)
  await page('POST', lineOf(lines, keys.vpc), 'bob', 'decision=deny&reason=not+on+a+friday')
  await approve(lineOf(await asked(dns), dns))
  await world.reaches(pushed, 'WaitForRecovery')
  expect(world.object(keys.app).spec.suspend).toBe(true)
  const { status, rollout } = await world.ended(pushed)
  expect([status, rollout.outcome]).toEqual(['FAILED', 'failed'])
  const vpc = rollout.objects.find(({ key }) => key === keys.vpc)
  expect(vpc).toMatchObject({ phase: 'failed', reason: 'PlanDenied' })
  expect(vpc?.detail).toContain('bob denied plan-main-')
  expect(vpc?.detail).toContain('not on a friday')
  expect(spec(keys.vpc).approvePlan).toBe('')
})

test('what was asked ends with a rollout that somebody stops, and whoever answers is told; the next push asks anew', async () => {
  await start()
  const pushed = await push()
  const lines = await asked(keys.vpc, dns)
  world.host.interpreter.stop(world.executionArn(pushed))
  await world.until('the end of the questions', async () => (await waiting()).length === 0)
  for (const line of lines.values()) {
    expect((await page('GET', line, 'bob')).body).toContain('Somebody has stopped the rollout.')
    expect((await approve(line)).statusCode).toBe(409)
  }
  const ends = () => world.host.events.of('Plan Approval Changed').map(({ object, what }) => `${object} ${what}`)
  await world.until('the news', () => ends().length === 4)
  expect(ends().slice(2).sort()).toEqual([`${dns} withdrawn`, `${keys.vpc} withdrawn`])
  const next = await push()
  for (const line of (await asked(keys.vpc, dns)).values()) await approve(line)
  expect((await world.ended(next)).status).toBe('SUCCEEDED')
  expect(world.leftovers()).toEqual([])
})

test('a plan that nobody decides about in time is not applied', async () => {
  await start({ approvalFor: '30m' }, { holdFor: '2m' })
  const { status, rollout } = await world.ended(await push())
  expect(status).toBe('FAILED')
  expect(
    rollout.objects
      .filter(({ reason }) => reason === 'PlanNotApproved')
      .map(({ key }) => key)
      .sort(),
  ).toEqual([dns, keys.vpc])
  expect(await waiting()).toEqual([])
  expect(runsOf(keys.vpc).map(({ outcome }) => outcome)).toEqual(['waiting-for-approval'])
})

test('a plan that is approved by hand is noticed, and nobody has to decide any more', async () => {
  await start()
  const pushed = await push()
  const lines = await asked(keys.vpc, dns)
  const { plan, id } = lineOf(lines, keys.vpc)
  world.edit(keys.vpc, (object) => {
    object.spec.approvePlan = plan
  })
  await approve(lineOf(await asked(dns), dns))
  expect(await world.ended(pushed)).toMatchObject({ status: 'SUCCEEDED' })
  expect(await world.busy(() => world.host.ledger.readApproval(id))).toMatchObject({ closed: { how: 'gone' } })
  // It is somebody else's.
  expect(spec(keys.vpc).approvePlan).toBe(plan)
})

test('a plan that was made anew after it was shown is not applied by what people said of the one before', async () => {
  await start()
  const pushed = await push()
  const before = lineOf(await asked(keys.vpc, dns), keys.vpc)
  world.edit(keys.vpc, (object) => {
    object.spec.parallelism = 5
  })
  const after = await world.until('the question about the new plan', async () =>
    (await waiting()).find(({ object, judged }) => object === keys.vpc && judged !== before.judged),
  )
  expect(after.plan).toBe(before.plan)
  for (const method of ['GET', 'POST'])
    expect((await page(method, before, 'bob', 'decision=approve')).statusCode).toBe(410)
  expect(runsOf(keys.vpc).map(({ outcome }) => outcome)).toEqual(['waiting-for-approval', 'waiting-for-approval'])
  for (const line of (await asked(keys.vpc, dns)).values()) await approve(line)
  expect(await world.ended(pushed)).toMatchObject({ status: 'SUCCEEDED' })
})

test('an approval is good for one apply: what is planned after it failed is asked about anew', async () => {
  await start()
  const pushed = await push()
  const lines = await asked(keys.vpc, dns)
  await approve(lineOf(lines, dns))
  const first = lineOf(await asked(keys.vpc), keys.vpc)
  world.simulation.faults.fail(keys.vpc, { reason: 'TFExecApplyFailed', message: 'no quota' }, 1)
  await approve(first)
  const again = lineOf(await asked(keys.vpc), keys.vpc)
  expect([again.plan === first.plan, again.judged === first.judged]).toEqual([true, false])
  expect([spec(keys.vpc).approvePlan, mark(keys.vpc)]).toEqual(['', undefined])
  await approve(again)
  expect(await world.ended(pushed)).toMatchObject({ status: 'SUCCEEDED' })
})

test('a newer push ends the wait', async () => {
  await start()
  const older = await push()
  const before = lineOf(await asked(keys.vpc, dns), keys.vpc)
  const newer = await push()
  expect(await world.ended(older)).toMatchObject({ rollout: { outcome: 'superseded' } })
  expect(await world.busy(() => world.host.ledger.readApproval(before.id))).toMatchObject({ closed: { how: 'gone' } })
  const lines = await asked(keys.vpc, dns)
  expect((await approve(before)).statusCode).toBe(409)
  for (const line of lines.values()) await approve(line)
  expect(await world.ended(newer)).toMatchObject({ status: 'SUCCEEDED' })
})

test('where the fleet names nobody a plan waits for its approval in Git, as long as its layer may take', async () => {
  await start({ approvers: [] }, { deadlines: { layer: '20m' }, holdFor: '2m' })
  const pushed = await push()
  await world.until('the plan', () => runsOf(keys.vpc).some(({ outcome }) => outcome === 'waiting-for-approval'))
  const { rollout, states } = await world.ended(pushed)
  expect(states).not.toContain('AskForPlanApproval')
  expect(rollout.objects.find(({ key }) => key === keys.vpc)).toMatchObject({ reason: 'DeadlineExceeded' })
  expect(rollout.notes.join('\n')).toContain('set spec.approvePlan in Git')
})
