import { createHash, randomBytes } from 'node:crypto'
import { beforeEach, expect, it } from 'vitest'
import { parseWorkload } from '../../../functions/lib/flux/workload.ts'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import { readStoredPlan } from '../../../functions/lib/plans/stored-plan.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import { PlanStore, planObjectsOf } from '../../../infra/local/simulation/tofu/plan-store.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { terraform } from '../../fixtures/raw-objects.ts'
import { StoreCluster } from '../../fixtures/store-cluster.ts'

const { Secret, ConfigMap } = builtinResources
const chunkBytes = 1024 * 1024
const plan = 'plan-main-bbbbbbbbbb'

let store: MemoryObjectStore
let plans: PlanStore
beforeEach(() => {
  const clock = new VirtualClock()
  store = new MemoryObjectStore({ clock })
  for (const resource of [Secret, ConfigMap]) store.register(resource)
  plans = plansOf('vpc')
  return () => clock.stop()
})

const plansOf = (name: string) =>
  new PlanStore(planObjectsOf(store), { namespace: 'flux-system', name, uid: 'u', workspace: 'default' })
const named = (resource: Resource) => store.list(resource).items.map(({ metadata }) => metadata.name)
const shown = async (storeReadablePlan: 'json' | 'human') => {
  const raw = terraform('vpc', { spec: { storeReadablePlan }, status: { plan: { pending: plan } } })
  return (await readStoredPlan(parseWorkload('Terraform', raw), new StoreCluster('staging', store))).shown
}
/** Nothing that packing makes smaller. */
const noise = (bytes: number) => randomBytes(bytes).toString('base64')

it('a plan that is too large for one object is in several, each with its place and the hash of itself', async () => {
  const text = JSON.stringify({
    resource_changes: [{ address: 'a.b', change: { actions: ['delete'] } }],
    padding: noise(2.5 * chunkBytes),
  })
  const content = Buffer.from(noise(1.5 * chunkBytes))
  await plans.save(plan, content, { how: 'json', text })
  const json = [0, 1, 2].map((chunk) => `tfplan-default-vpc.json-${chunk}`)
  expect(named(Secret).sort()).toEqual([...json, 'tfplan-default-vpc-0', 'tfplan-default-vpc-1'].sort())
  const first = store.get(Secret, 'flux-system', 'tfplan-default-vpc-0')
  const { tfplan = '' } = (first?.data ?? {}) as { tfplan?: string }
  const bytes = Buffer.from(tfplan, 'base64')
  expect(bytes).toHaveLength(chunkBytes)
  expect(first?.metadata.annotations).toMatchObject({
    'infra.contrib.fluxcd.io/plan-chunk': '0',
    'infra.contrib.fluxcd.io/plan-hash': createHash('sha256').update(bytes).digest('hex'),
  })
  expect((await plans.load(plan)).equals(content)).toBe(true)
  expect(await shown('json')).toMatchObject({ counts: { destroy: 1 }, changes: [{ address: 'a.b', action: 'delete' }] })
})

it('a large plan for people is read as a whole', async () => {
  const text = `${'x'.repeat(2 * chunkBytes)}\nPlan: 1 to add, 2 to change, 3 to destroy.\n`
  await plans.save(plan, Buffer.from('x'), { how: 'human', text })
  expect(named(ConfigMap)).toEqual([0, 1, 2].map((chunk) => `tfplan-default-vpc-${chunk}`))
  expect(await shown('human')).toMatchObject({ counts: { add: 1, change: 2, destroy: 3 }, cut: true })
})

it('what was stored before goes, whether it was one object or several', async () => {
  const [large, small] = [Buffer.from(noise(chunkBytes)), Buffer.from('x')]
  for (const content of [small, large, small]) {
    await plans.save(plan, content)
    expect((await plans.load(plan)).equals(content)).toBe(true)
    expect(named(Secret)).toHaveLength(content === large ? 2 : 1)
  }
})

it('labels hold no more than 63 characters, annotations the whole name', async () => {
  const name = 'n'.repeat(70)
  await plansOf(name).save(plan, Buffer.from('x'))
  const { labels, annotations } = store.get(Secret, 'flux-system', `tfplan-default-${name}`)?.metadata ?? {}
  expect(labels?.['infra.contrib.fluxcd.io/plan-name']).toMatch(/^n{46}-[\da-f]{16}$/)
  expect(annotations?.['infra.contrib.fluxcd.io/plan-full-name']).toBe(name)
})
