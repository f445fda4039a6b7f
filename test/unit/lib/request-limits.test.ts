import { globSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const sources = globSync('functions/**/*.ts').map((path) => ({ path, text: readFileSync(path, 'utf8') }))

it('are of every client of AWS that a function has', () => {
  const clients = sources.flatMap(({ path, text }) => {
    const names = [...text.matchAll(/^import \{(.*)\} from '@aws-sdk\/client-/gm)].flatMap(
      ([, imported = '']) => imported.match(/\b\w+Client\b/g) ?? [],
    )
    return names.flatMap((name) =>
      [...text.matchAll(new RegExp(`new ${name}\\((.*)`, 'g'))].map(([, given = '']) => ({ path, name, given })),
    )
  })
  expect(clients.length).toBeGreaterThan(10)
  const without = clients.filter(
    ({ given }) => !/^\{[^}]*\.\.\.limits(?:WhileSomebodyWaits|InSteps|ForContent)\b/.test(given),
  )
  expect(without).toEqual([])
})

it('are in one place', () => {
  const places = sources.filter(({ text }) => text.includes('connectionTimeout')).map(({ path }) => path)
  expect(places).toEqual(['functions/lib/request-limits.ts'])
})
