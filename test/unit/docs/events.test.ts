import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type EventType, eventSchemas } from '../../../functions/lib/events.ts'

/** Sections of docs/events.md, by their headings; what comes before the first is under the empty one. */
const sections = new Map(
  readFileSync('docs/events.md', 'utf8')
    .split(/^## /m)
    .map((section, index) => {
      const end = section.indexOf('\n')
      return index === 0 ? ['', section] : [section.slice(0, end), section.slice(end)]
    }),
)

/** Names of the fields in the first column of the tables. */
const fieldsIn = (section = '') => [...section.matchAll(/^\| `(\w+\??)` \|/gm)].map(([, field]) => field ?? '')
const exampleIn = (section = '') => JSON.parse(section.match(/```json\n([\s\S]*?)\n```/)?.[1] ?? 'null')

const shared = fieldsIn(sections.get(''))
const ofEvery = shared.slice(0, 3)
const ofRollouts = [...shared].map((field) => (field === 'served' ? 'served?' : field))

const types = eventSchemas.map((schema) => [schema.shape.type.value, schema] as const)

test('every type of event has a section, and no other has', () => {
  expect([...sections.keys()].filter((title) => title !== '').sort()).toEqual(types.map(([type]) => type).sort())
  expect(new Set(types.map(([type]) => type)).size).toBe(types.length)
})

test.each(types)('%s has exactly the fields that its section lists', (type: EventType, schema) => {
  const { type: _, ...shape } = schema.shape
  const fields = Object.entries(shape).map(([field, value]) =>
    value.safeParse(undefined).success ? `${field}?` : field,
  )
  const documented = [...('rollout' in shape ? ofRollouts : ofEvery), ...fieldsIn(sections.get(type))]
  expect(documented.sort()).toEqual(fields.sort())
})

test.each(types)('the example of %s is one, with every field but those that it need not have', (type, schema) => {
  const example = exampleIn(sections.get(type))
  expect(schema.strict().parse({ type, ...example })).toEqual({ type, ...example })
})
