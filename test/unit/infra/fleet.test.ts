import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { readFleet } from '../../../infra/fleet.ts'

const folder = mkdtempSync(join(tmpdir(), 'lockstep-fleet-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(content: string): string {
  const path = join(folder, 'cdk.json')
  writeFileSync(path, content)
  return path
}

it('reads the fleet of this project', () => {
  const { fleet } = readFleet()
  expect(fleet.clusters.map(({ name, after }) => ({ name, after }))).toEqual([
    { name: 'staging', after: [] },
    { name: 'production', after: ['staging'] },
  ])
})

it('gives the fleet as written as well', () => {
  const { written, fleet } = readFleet()
  expect(written).toMatchObject({ holdFor: '24h' })
  expect(fleet.holdFor).toBe(86_400_000)
})

it('names a file that is not there', () => {
  expect(() => readFleet('/nowhere/cdk.json')).toThrow('/nowhere/cdk.json cannot be read (ENOENT).')
})

it('says where the JSON is wrong', () => {
  expect(() => readFleet(file('{"context": {,}}'))).toThrow(/cdk\.json is not JSON: .*position 13/)
})

it.each(['{}', '[]', 'null', '{"context": {}}', '{"context": null}'])('misses the key in %s', (content) => {
  expect(() => readFleet(file(content))).toThrow('has no key "lockstep" under "context"')
})

it('lists the mistakes of the fleet', () => {
  expect(() => readFleet(file('{"context": {"lockstep": {"clusters": []}}}'))).toThrow(
    /repositories: is missing.*\n.*clusters: is empty/,
  )
})
