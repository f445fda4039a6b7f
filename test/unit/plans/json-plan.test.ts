import { expect, it } from 'vitest'
import { showJsonPlan } from '../../../functions/lib/plans/json-plan.ts'
import { longestShown } from '../../../functions/lib/plans/shown-plan.ts'

const change = (address: string, actions: readonly string[], more: object = {}) => ({
  address,
  change: { actions, before: null, after: null, after_unknown: {}, before_sensitive: {}, after_sensitive: {}, ...more },
})
const show = (plan: object) => showJsonPlan(JSON.stringify(plan), false)
const linesOf = (more: object) => show({ resource_changes: [change('a.b', ['update'], more)] }).changes[0]?.lines

it('counts as OpenTofu does, and puts what cannot be undone first', () => {
  const { counts, changes } = show({
    resource_changes: [
      change('a.new', ['create']),
      change('a.newer', ['create']),
      change('a.same', ['no-op']),
      change('a.gone', ['delete']),
      change('a.changed', ['update']),
      change('a.other', ['create', 'delete']),
      change('a.anew', ['delete', 'create']),
      change('data.a.read', ['read']),
      change('a.forgotten', ['forget']),
      change('a.kept', ['forget', 'create']),
      { ...change('a.new', ['delete']), deposed: '5f2a' },
      change('a.taken', ['no-op'], { importing: { id: 'i-1' } }),
      { ...change('a.there', ['no-op']), previous_address: 'a.here' },
      { ...change('a.both', ['update'], { importing: { id: 'i-2' } }), previous_address: 'a.one' },
    ],
  })
  expect(counts).toEqual({ add: 5, change: 2, destroy: 4 })
  expect(changes.map(({ address, action }) => `${action} ${address}`)).toEqual([
    ...['replace a.other', 'replace a.anew', 'delete a.gone', 'delete a.new (deposed object 5f2a)', 'create a.new'],
    'create a.newer',
    ...['update a.changed', 'update a.both', 'forget a.forgotten', 'forget a.kept', 'import a.taken', 'move a.there'],
    'read data.a.read',
  ])
  const movedFrom = changes.flatMap(({ lines }) => lines)
  expect(movedFrom).toEqual(['moved from: a.one', 'moved from: a.here'])
})

it('shows what changes, and not what stays', () => {
  const more = {
    before: { size: 1, name: 'x', tags: { a: '1', b: '2' }, gone: true },
    after: { size: 2, name: 'x', tags: { a: '1', b: '3' } },
    after_unknown: { id: true, tags: {} },
  }
  expect(linesOf(more)).toEqual(['size: 1 → 2', 'tags.b: "2" → "3"', 'gone: true → nothing', 'id: (known after apply)'])
})

it('masks what is marked, in part or as a whole', () => {
  const more = {
    before: { password: 'old', env: [{ name: 'A', value: 'old' }], all: { a: 'old' } },
    after: { password: 'new', env: [{ name: 'B', value: 'new' }], all: { a: 'new', b: 'new' } },
    before_sensitive: { password: true, env: [{ value: true }] },
    after_sensitive: { password: true, env: [{ value: true }], all: true },
  }
  expect(linesOf(more)).toEqual([
    ...['password: (sensitive)', 'env.0.name: "A" → "B"', 'env.0.value: (sensitive)', 'all: (sensitive)'],
  ])
})

it('masks what is named like a secret, and marks without the shape of the value', () => {
  const more = {
    before: { master_password: 'a-value', odd: 'one' },
    after: { master_password: 'another', odd: 'two' },
    after_sensitive: { odd: { inside: true } },
  }
  expect(linesOf(more)).toEqual(['master_password: (sensitive)', 'odd: (sensitive)'])
})

it('masks the old value of what is no secret any more, and a secret that is a part of another one', () => {
  const more = {
    before: { motd: { text: 'was-hidden' } },
    after: { motd: { text: 'is-open' } },
    before_sensitive: { motd: true },
  }
  expect(linesOf(more)).toEqual(['motd: (sensitive)'])
  const variables = { short: { value: 'hunter' }, long: { value: 'hunter22hunter' } }
  const plan = {
    variables,
    configuration: { root_module: { variables: { short: { sensitive: true }, long: { sensitive: true } } } },
    resource_changes: [change('a.b', ['create'], { after: { x: 'hunter22hunter' } })],
  }
  expect(show(plan).changes[0]?.lines).toEqual(['x: "(sensitive)"'])
})

it('masks sensitive variables and outputs wherever their values stand', () => {
  const plan = {
    variables: { key: { value: 'hunter22' } },
    configuration: { root_module: { variables: { key: { sensitive: true } } } },
    prior_state: { values: { outputs: { url: { sensitive: true, value: 'https://in:side@x' } } } },
    resource_changes: [
      change('a["hunter22"]', ['create'], { after: { user_data: 'echo hunter22', at: 'see https://in:side@x' } }),
    ],
    output_changes: { url: { ...change('', ['update']).change, before: 'a', after: 'b', after_sensitive: true } },
  }
  const text = JSON.stringify(show(plan))
  expect(text).toContain('echo (sensitive)')
  expect(text).toContain('output.url')
  for (const secret of ['hunter22', 'in:side']) expect(text).not.toContain(secret)
})

it('masks a secret that a long value is cut in the middle of, and what looks like one although nobody calls it so', () => {
  const plan = {
    variables: { key: { value: 'hunter22-hunter22' } },
    configuration: { root_module: { variables: { key: { sensitive: true } } } },
    resource_changes: [
      change('a.b', ['create'], {
        after: {
          user_data: `${'x'.repeat(110)}hunter22-hunter22`,
          url: 'postgres://ana:pass@db',
          env: 'PASSWORD="x y"',
        },
      }),
    ],
  }
  expect(show(plan).changes[0]?.lines).toEqual([
    `user_data: "${'x'.repeat(110)}(sensitiv…`,
    'url: "postgres://***@db"',
    'env: "PASSWORD=***"',
  ])
})

it('is never longer than a page can hold, and names what is destroyed before it shows any line', () => {
  const long = 'x'.repeat(500)
  const after = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, long]))
  const many = Array.from({ length: 150 }, (_, index) => change(`a.new_${index}`, ['create'], { after }))
  const shown = show({ resource_changes: [...many, change('a.gone', ['delete'])] })
  expect(shown.cut).toBe(true)
  expect(shown.changes[0]).toMatchObject({ address: 'a.gone', action: 'delete' })
  expect(shown.changes).toHaveLength(151)
  expect(JSON.stringify(shown.changes).length).toBeLessThan(longestShown * 2)
})

it('takes a plan in which everything is left out that may be', () => {
  const shown = show({
    resource_changes: [{ address: 'a.gone', change: { actions: ['delete'] } }],
    output_changes: { url: { actions: ['create'], after: 'x' } },
    variables: { region: {} },
  })
  expect(shown.changes).toEqual([
    { address: 'a.gone', action: 'delete', lines: [] },
    { address: 'output.url', action: 'create', lines: ['value: "x"'] },
  ])
})
