import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { heldBehind, turnOf } from '../../../functions/lib/rollout/turn.ts'
import { makePlan } from '../../../functions/plan/plan.ts'
import { gitRepository, inLayer, kustomization, ownedBy, terraform } from '../../fixtures/raw-objects.ts'
import { begunRollout, snapshotOf } from '../../fixtures/snapshot-of.ts'

const layers = ['network', 'database', 'addons', 'apps']

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  layers,
  clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'staging' }],
})

/** One object of a random fleet. It only points at objects with a lower number, so there is no cycle. */
interface Node {
  readonly kind: 'Kustomization' | 'Terraform'
  readonly dependsOn: readonly number[]
  readonly layer: string | undefined
  readonly owner: number | undefined
  readonly wait: boolean
}

const nodes = fc
  .integer({ min: 1, max: 14 })
  .chain((size) =>
    fc.tuple(
      ...Array.from({ length: size }, (_, index) =>
        fc.record({
          kind: fc.constantFrom('Kustomization' as const, 'Terraform' as const),
          dependsOn: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat({ max: index - 1 }), { maxLength: 3 }),
          layer: fc.option(fc.nat({ max: layers.length - 1 }), { nil: undefined }),
          owner: index === 0 ? fc.constant(undefined) : fc.option(fc.nat({ max: index - 1 }), { nil: undefined }),
          wait: fc.boolean(),
        }),
      ),
    ),
  )
  .map(withoutContradictions)

/** Layers rise with the numbers, only Kustomizations own, and nothing depends on the owner that waits for it. */
function withoutContradictions(
  drawn: readonly {
    kind: Node['kind']
    dependsOn: readonly number[] | undefined
    layer: number | undefined
    owner: number | undefined
    wait: boolean
  }[],
): Node[] {
  let lowest = 0
  return drawn.map((node) => {
    const owned = node.owner !== undefined && drawn[node.owner]?.kind === 'Kustomization'
    // A waiting owner is ready after what it owns: to keep the graph free of cycles, such an object stands alone.
    const waiting = node.kind === 'Kustomization' && node.wait
    if (node.layer !== undefined && !waiting) lowest = Math.max(lowest, node.layer)
    return {
      kind: node.kind,
      wait: waiting,
      owner: owned ? node.owner : undefined,
      dependsOn: (node.dependsOn ?? []).filter(
        (before) => !(drawn[before]?.kind === 'Kustomization' && drawn[before]?.wait),
      ),
      layer: node.layer === undefined || waiting ? undefined : layers[lowest],
    }
  })
}

const nameOf = (index: number) => `o${index}`
const keyOf = (node: Node, index: number) => `${node.kind}/flux-system/${nameOf(index)}`

function rolloutOf(drawn: readonly Node[]): Rollout {
  const objects = drawn.map((node, index) => {
    const make = node.kind === 'Kustomization' ? kustomization : terraform
    return make(nameOf(index), {
      labels: {
        ...(node.layer && inLayer(node.layer)),
        ...(node.owner !== undefined && ownedBy(nameOf(node.owner))),
      },
      annotations: {
        'lockstep.dev/depends-on': node.dependsOn.map((before) => keyOf(drawn[before] as Node, before)).join(', '),
      },
      spec: { wait: node.wait },
    })
  })
  const rollout = begunRollout()
  const snapshot = snapshotOf(gitRepository(), ...objects)
  makePlan(rollout, { snapshot, fleet, ordering: 'strict', idleBranches: new Set() })
  return rollout
}

/** What must be ready before object `index`, worked out from the definition of the edges, not from the plan. */
function mustBeReady(drawn: readonly Node[], index: number): number[] {
  const node = drawn[index] as Node
  const before = new Set(node.dependsOn)
  if (node.owner !== undefined && !drawn[node.owner]?.wait) before.add(node.owner)
  const own = node.layer === undefined ? -1 : layers.indexOf(node.layer)
  drawn.forEach((other, otherIndex) => {
    if (other.layer !== undefined && layers.indexOf(other.layer) < own) before.add(otherIndex)
  })
  return [...before]
}

/** Opens layer after layer; objects end ready or failed as `fate` says, in the order that `pick` says. */
function play(rollout: Rollout, drawn: readonly Node[], fate: (index: number) => boolean, pick: (n: number) => number) {
  const phase = (index: number) => rollout.objects.find(({ key }) => key === keyOf(drawn[index] as Node, index))?.phase
  const indexOf = (key: string) => Number(key.split('/o').at(-1))
  for (;;) {
    const { next, unsettled } = turnOf(rollout)
    for (const object of next) {
      for (const before of mustBeReady(drawn, indexOf(object.key))) expect(phase(before)).toBe('ready')
      object.phase = 'open'
      // What it waits for may be opened once it has applied; here that is at once.
      object.applied = true
    }
    const open = rollout.objects.filter((object) => object.phase === 'open')
    if (open.length === 0) {
      expect({ next, unsettled }).toEqual({ next: [], unsettled: [] })
      return
    }
    const free = open.filter((object) => awaitedAreReady(rollout, object))
    // Nothing can end before more is opened: the rollout opens it at once.
    if (free.length === 0 && turnOf(rollout).next.length > 0) continue
    const chosen = free.length > 0 ? free[pick(free.length)] : open[pick(open.length)]
    if (!chosen) throw new Error('nothing was picked')
    const healthy = free.includes(chosen)
    chosen.phase = healthy && fate(indexOf(chosen.key)) ? 'ready' : 'failed'
    if (!healthy) chosen.reason = 'HealthCheckFailed'
  }
}

/** A Kustomization that waits for others is not ready before they are. */
function awaitedAreReady(rollout: Rollout, object: Rollout['objects'][number]): boolean {
  return rollout.objects.every((other) => other.awaitedBy !== object.key || other.phase === 'ready')
}

/** Picks by a list of random numbers, over and over. */
function picker(numbers: readonly number[]): (n: number) => number {
  let turn = 0
  return (n) => (numbers[turn++ % numbers.length] ?? 0) % n
}

describe('any acyclic fleet', () => {
  test('opens nothing before all that it comes after is ready, and opens everything in the end', () => {
    fc.assert(
      fc.property(nodes, fc.array(fc.nat(), { minLength: 1 }), (drawn, picks) => {
        const rollout = rolloutOf(drawn)
        play(rollout, drawn, () => true, picker(picks))
        expect(rollout.objects.map(({ phase }) => phase)).toEqual(drawn.map(() => 'ready'))
      }),
      { numRuns: 500 },
    )
  })

  test('after failures, what is left pending has a failed cause, and all else was rolled out', () => {
    fc.assert(
      fc.property(nodes, fc.array(fc.nat(), { minLength: 1 }), fc.func(fc.boolean()), (drawn, picks, fate) => {
        const rollout = rolloutOf(drawn)
        play(rollout, drawn, fate, picker(picks))
        for (const object of rollout.objects) {
          if (object.phase === 'pending') expect(heldBehind(rollout, object)).not.toEqual([])
        }
        expect(turnOf(rollout).next).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('gives every object a layer behind those of all that it comes after', () => {
    fc.assert(
      fc.property(nodes, (drawn) => {
        const rollout = rolloutOf(drawn)
        const layerOf = (index: number) =>
          rollout.objects.find(({ key }) => key === keyOf(drawn[index] as Node, index))?.layer ?? -1
        drawn.forEach((_, index) => {
          for (const before of mustBeReady(drawn, index)) expect(layerOf(before)).toBeLessThan(layerOf(index))
        })
      }),
      { numRuns: 500 },
    )
  })
})
