import { gzipSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { parseWorkload } from '../../../functions/lib/flux/workload.ts'
import { planFingerprint, readStoredPlan } from '../../../functions/lib/plans/stored-plan.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { terraform } from '../../fixtures/raw-objects.ts'

const plan = 'plan-main-bbbbbbbbbb'
const json = JSON.stringify({ resource_changes: [] })
let cluster: MemoryCluster
beforeEach(() => {
  cluster = new MemoryCluster('staging')
})

const object = (spec: object = {}, status: object = {}) =>
  parseWorkload('Terraform', terraform('vpc', { spec: { ...spec }, status: { plan: { pending: plan }, ...status } }))

/** As tofu-controller writes one (api/plan/plan.go). */
function stored(
  kind: 'Secret' | 'ConfigMap',
  name: string,
  content: Buffer | string,
  over: Record<string, string> = {},
) {
  const annotations = { savedPlan: plan, 'infra.contrib.fluxcd.io/plan-hash': 'h1', ...over }
  const tfplan = kind === 'Secret' ? Buffer.from(content).toString('base64') : String(content)
  cluster.put({ kind, metadata: { namespace: 'flux-system', name, annotations }, data: { tfplan } } as never)
}

describe('the fingerprint', () => {
  it('is another one for another plan of the same id, and for another object of the same name', async () => {
    stored('Secret', 'tfplan-default-vpc', 'x')
    const first = await planFingerprint(object(), cluster)
    expect(await planFingerprint(object(), cluster)).toBe(first)
    expect(await planFingerprint({ ...object(), uid: 'another' }, cluster)).not.toBe(first)
    stored('Secret', 'tfplan-default-vpc', 'x', { 'infra.contrib.fluxcd.io/plan-hash': 'h2' })
    expect(await planFingerprint(object(), cluster)).not.toBe(first)
  })

  it('is of all chunks', async () => {
    stored('Secret', 'tfplan-blue-vpc-0', 'x')
    stored('Secret', 'tfplan-blue-vpc-1', 'y')
    const both = await planFingerprint(object({ workspace: 'blue' }), cluster)
    stored('Secret', 'tfplan-blue-vpc-1', 'y', { 'infra.contrib.fluxcd.io/plan-hash': 'h2' })
    expect(await planFingerprint(object({ workspace: 'blue' }), cluster)).not.toBe(both)
  })

  it.each([
    ['json', 'Secret', 'tfplan-default-vpc.json'],
    ['human', 'ConfigMap', 'tfplan-default-vpc'],
  ] as const)(
    'is of what people read as well: beside a new plan may still be the %s of the one before',
    async (storeReadablePlan, kind, name) => {
      const hash = (text: string) => ({ 'infra.contrib.fluxcd.io/plan-hash': text })
      stored('Secret', 'tfplan-default-vpc', 'x', hash('new'))
      stored(kind, name, 'x', hash('old'))
      const between = await planFingerprint(object({ storeReadablePlan }), cluster)
      stored(kind, name, 'x', hash('new'))
      const after = await readStoredPlan(object({ storeReadablePlan }), cluster)
      expect(after.fingerprint).not.toBe(between)
      expect(await planFingerprint(object({ storeReadablePlan }), cluster)).toBe(after.fingerprint)
      // What the object does not ask for any more is left there, and is nothing to it.
      const unread = await planFingerprint(object(), cluster)
      stored(kind, name, 'x', hash('older'))
      expect(await planFingerprint(object(), cluster)).toBe(unread)
    },
  )

  it.each<[string, () => void]>([
    ['there is none', () => {}],
    ['it is of another id', () => stored('Secret', 'tfplan-default-vpc', 'x', { savedPlan: 'plan-main-older' })],
    [
      'it is of another object',
      () => stored('Secret', 'tfplan-default-vpc-0', 'x', { 'infra.contrib.fluxcd.io/plan-full-name': 'vpc-0' }),
    ],
  ])('cannot be told where %s', async (_, put) => {
    put()
    await expect(planFingerprint(object(), cluster)).rejects.toMatchObject({ name: 'PlanMissing' })
  })
})

describe('what is shown', () => {
  const shownOf = async (spec: object, status: object = {}) =>
    (await readStoredPlan(object(spec, status), cluster)).shown
  beforeEach(() => stored('Secret', 'tfplan-default-vpc', 'x'))

  it('is the JSON of a Secret, of several if it is large', async () => {
    const text = JSON.stringify({ resource_changes: [], padding: 'ü'.repeat(5_000) })
    const packed = gzipSync(text)
    stored('Secret', 'tfplan-default-vpc.json-0', packed.subarray(0, 20))
    stored('Secret', 'tfplan-default-vpc.json-1', packed.subarray(20))
    expect(await shownOf({ storeReadablePlan: 'json' })).toMatchObject({ counts: { add: 0 }, cut: false })
  })

  it('is the text of a ConfigMap', async () => {
    stored('ConfigMap', 'tfplan-default-vpc', 'Plan: 1 to add, 2 to change, 3 to destroy.')
    expect(await shownOf({ storeReadablePlan: 'human' })).toMatchObject({ counts: { add: 1, change: 2, destroy: 3 } })
  })

  it('says what to set where nothing is stored for people, and that a destroy plan is one', async () => {
    const shown = await shownOf({}, { plan: { pending: plan, isDestroyPlan: true } })
    expect(shown).toMatchObject({ destroysAll: true, changes: [] })
    expect(shown.missing).toContain('spec.storeReadablePlan')
  })

  it('is nothing that unpacks to more than any plan has', async () => {
    stored('Secret', 'tfplan-default-vpc.json', gzipSync(json.padEnd(33 * 1024 * 1024)))
    expect((await shownOf({ storeReadablePlan: 'json' })).missing).toContain('is not one in json')
  })

  it('is nothing of another plan, and quotes nothing that cannot be read', async () => {
    stored('Secret', 'tfplan-default-vpc.json', gzipSync(json), { savedPlan: 'plan-main-older' })
    expect((await shownOf({ storeReadablePlan: 'json' })).missing).toContain('no readable plan')
    stored('Secret', 'tfplan-default-vpc.json', gzipSync('{"password": "hunter22"'))
    const shown = await shownOf({ storeReadablePlan: 'json' })
    expect(shown.missing).toBeDefined()
    expect(JSON.stringify(shown)).not.toContain('hunter22')
  })
})
