import fc from 'fast-check'
import { expect, it } from 'vitest'
import { planPage } from '../../../functions/approve/plan-page.ts'
import { showJsonPlan } from '../../../functions/lib/plans/json-plan.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'

/** A value, and what OpenTofu says of it in the same shape; `secrets` are the texts that nobody may see. */
interface Marked {
  readonly value: unknown
  readonly sensitive: unknown
  readonly unknown: unknown
  readonly secrets: readonly string[]
}

let made = 0
/** Unlike any other text, with characters that JSON and HTML write in another way. */
const secretText = fc.constantFrom('', '"', '<b>', '\n', '\\', 'ü', '&').map((odd) => `s3cr3t-${made++}-${odd}-value`)
const plain = fc.oneof(fc.string({ maxLength: 12 }), fc.integer(), fc.boolean(), fc.constant(null))
const key = fc.constantFrom('name', 'tags', 'rules', 'a', 'b', 'c')

const leaf: fc.Arbitrary<Marked> = fc.oneof(
  plain.map((value) => ({ value, sensitive: false, unknown: false, secrets: [] })),
  secretText.map((value) => ({ value, sensitive: true, unknown: false, secrets: [value] })),
  fc.constant({ value: null, sensitive: false, unknown: true, secrets: [] }),
)

const { node } = fc.letrec<{ node: Marked }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.dictionary(key, tie('node'), { maxKeys: 4 }).map((entries) => joined(entries, (each) => each)),
    fc
      .array(tie('node'), { maxLength: 3 })
      .map((items) => joined(Object.fromEntries(items.entries()), (each) => Object.values(each))),
    // All of it is marked, whatever is inside.
    fc.dictionary(key, secretText, { maxKeys: 3 }).map((value) => ({
      ...{ value, sensitive: true, unknown: false, secrets: Object.values(value) },
    })),
  ),
}))

function joined(entries: Record<string, Marked>, shape: (value: Record<string, unknown>) => unknown): Marked {
  const part = (of: 'value' | 'sensitive' | 'unknown') =>
    shape(Object.fromEntries(Object.entries(entries).map(([name, marked]) => [name, marked[of]])))
  return {
    ...{ value: part('value'), sensitive: part('sensitive'), unknown: part('unknown') },
    secrets: Object.values(entries).flatMap(({ secrets }) => secrets),
  }
}

const actions = fc.constantFrom(
  ['create'],
  ['update'],
  ['delete'],
  ['delete', 'create'],
  ['create', 'delete'],
  ['no-op'],
)

it('no sensitive value of a plan reaches what is shown, wherever else it stands', () => {
  let seen = 0
  const change = fc.record({ before: node, after: node, actions, echoed: fc.boolean() })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const secrets = changes.flatMap(({ before, after }) => [...before.secrets, ...after.secrets])
      const resource_changes = changes.map(({ before, after, actions, echoed }, index) => ({
        address: `aws_thing.number_${index}`,
        change: {
          actions,
          ...{ before: { of: before.value }, after: { of: after.value, ...(echoed && { copy: secrets[0] ?? '' }) } },
          after_unknown: { of: after.unknown },
          ...{ before_sensitive: { of: before.sensitive }, after_sensitive: { of: after.sensitive } },
        },
      }))
      const shown = showJsonPlan(JSON.stringify({ resource_changes }), false)
      const text = JSON.stringify(shown) + planPage(planApprovalOf({ shown }), { approver: 'bob', whyNot: undefined })
      for (const secret of secrets) {
        seen++
        // The part that every spelling has.
        expect(text).not.toContain(secret.slice(0, secret.lastIndexOf('-', secret.length - 7)))
      }
    }),
    { numRuns: 1_500 },
  )
  expect(seen).toBeGreaterThan(1_000)
})
