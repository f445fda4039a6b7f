import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { kustomization, source, terraform } from './layered-fleet.ts'
import { World } from './world.ts'

const layers = ['network', 'database', 'addons', 'apps']

interface Node {
  readonly kind: 'Kustomization' | 'Terraform'
  readonly dependsOn: readonly number[]
  readonly layer: number | undefined
  readonly delay: number
  readonly trouble: string
}

/** One object of a random fleet; it depends on objects with a lower number only. */
const node = (index: number) =>
  fc.record({
    kind: fc.constantFrom('Kustomization' as const, 'Terraform' as const),
    dependsOn: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat({ max: index - 1 }), { maxLength: 2 }),
    layer: fc.option(fc.nat({ max: layers.length - 1 }), { nil: undefined }),
    /** How much longer than usual its controller takes, in milliseconds. */
    delay: fc.nat({ max: 8_000 }),
    trouble: fc.constantFrom('none', 'none', 'fails once', 'stale source', 'contested token', 'lost runner'),
  })

const fleet = fc
  .integer({ min: 2, max: 7 })
  .chain((size) => fc.tuple(...Array.from({ length: size }, (_, index) => node(index))))
  .map((drawn) => drawn as readonly Node[])

const disturbance = fc.record({ at: fc.nat({ max: 60_000 }), what: fc.constantFrom('drop watches', 'forget history') })

const nameOf = (index: number) => `o${index}`

test('whatever the controllers do and in whatever order: no run begins before all that it comes after is ready', async () => {
  await fc.assert(
    fc.asyncProperty(fleet, fc.array(disturbance, { maxLength: 3 }), async (drawn, disturbances) => {
      // Layers rise with the numbers, so that they do not contradict the dependencies.
      let lowest = 0
      const nodes = drawn.map((one) => {
        if (one.layer !== undefined) lowest = Math.max(lowest, one.layer)
        return { ...one, layer: one.layer === undefined ? undefined : lowest }
      })
      const keyOf = (index: number) => `${nodes[index]?.kind}/flux-system/${nameOf(index)}`
      const objects = nodes.map(({ kind, dependsOn, layer }, index) => {
        const annotations = { 'lockstep.dev/depends-on': dependsOn.map(keyOf).join(', ') }
        const more = { annotations, ...(layer !== undefined && { layer: layers[layer] as string }) }
        return kind === 'Kustomization' ? kustomization(nameOf(index), more) : terraform(nameOf(index), more)
      })
      const files = Object.fromEntries(
        nodes.map((_, index) => [
          `${nameOf(index)}/c.yaml`,
          [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: nameOf(index), namespace: 'default' } }],
        ]),
      )
      const world = await World.start([source(), ...objects] as KubernetesObject[], files)
      try {
        const { simulation } = world
        nodes.forEach(({ delay, trouble }, index) => {
          const key = keyOf(index)
          simulation.faults.delay(key, delay)
          if (trouble === 'fails once') simulation.faults.fail(key, { reason: 'TFExecApplyFailed', message: 'once' }, 1)
          if (trouble === 'stale source') simulation.faults.staleSource(key)
          if (trouble === 'contested token') simulation.contestToken(key, 'theirs')
          if (trouble === 'lost runner') simulation.faults.loseRunner(key)
        })
        for (const { at, what } of disturbances) {
          const { api } = world.cluster()
          world.clock.after(at, () => (what === 'drop watches' ? api.dropWatches() : api.forgetHistory()))
        }
        const ended = await world.push()
        expect(ended.rollout.failure).toBeUndefined()
        expect(ended.rollout.outcome).toBe('succeeded')
        expect(world.leftovers()).toEqual([])

        const first = (index: number) =>
          Math.min(
            ...world
              .runs()
              .filter(({ key }) => key === keyOf(index))
              .map(({ startedAt }) => startedAt),
          )
        const readyAt = (index: number) =>
          Math.min(
            ...world
              .runs()
              .filter(({ key, outcome }) => key === keyOf(index) && outcome === 'succeeded')
              .map(({ finishedAt }) => finishedAt ?? Number.POSITIVE_INFINITY),
          )
        nodes.forEach(({ dependsOn, layer }, index) => {
          const before = new Set(dependsOn)
          nodes.forEach((other, otherIndex) => {
            if (other.layer !== undefined && layer !== undefined && other.layer < layer) before.add(otherIndex)
          })
          for (const earlier of before) {
            expect(first(index), `${keyOf(index)} after ${keyOf(earlier)}`).toBeGreaterThanOrEqual(readyAt(earlier))
          }
        })
      } finally {
        await world.close()
      }
    }),
    { numRuns: 15, endOnFailure: true },
  )
})
