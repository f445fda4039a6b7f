import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Fleet, parseFleet } from '../../../functions/lib/fleet.ts'
import { wavesOf } from '../../../functions/lib/waves/waves-of.ts'

interface Written {
  readonly name: string
  readonly after?: readonly string[]
  readonly repositories?: readonly string[]
}

function fleetOf(clusters: readonly Written[]): Fleet {
  return parseFleet({
    repositories: ['my-org/a', 'my-org/b'].map((name) => ({ name, branches: ['main'] })),
    clusters: clusters.map((each) => ({ ...each, eks: each.name, region: 'us-east-1', environment: 'test' })),
  })
}

describe('wavesOf', () => {
  it('puts each cluster behind all that it comes after', () => {
    const fleet = fleetOf([
      { name: 'production', after: ['staging', 'canary'] },
      { name: 'staging' },
      { name: 'canary', after: ['staging'] },
      { name: 'sandbox' },
    ])
    expect(wavesOf(fleet, 'my-org/a')).toEqual([['staging', 'sandbox'], ['canary'], ['production']])
  })

  it('keeps the order through a cluster that does not follow the repository', () => {
    const fleet = fleetOf([
      { name: 'staging' },
      { name: 'canary', after: ['staging'], repositories: ['my-org/b'] },
      { name: 'production', after: ['canary'] },
    ])
    expect(wavesOf(fleet, 'my-org/a')).toEqual([['staging'], ['production']])
    expect(wavesOf(fleet, 'my-org/b')).toEqual([['staging'], ['canary'], ['production']])
  })

  it('has no waves for a repository that no cluster follows', () => {
    const fleet = fleetOf([{ name: 'staging', repositories: ['my-org/a'] }])
    expect(wavesOf(fleet, 'my-org/b')).toEqual([])
  })

  it('orders any fleet, leaves no gap and forgets no cluster', () => {
    const name = (index: number) => `c${index}`
    const clusters = fc
      .array(fc.tuple(fc.array(fc.nat(), { maxLength: 3 }), fc.boolean()), { minLength: 1, maxLength: 12 })
      .map((all) =>
        all.map(([after, follows], index) => ({
          name: name(index),
          after: index === 0 ? [] : [...new Set(after.map((each) => name(each % index)))],
          repositories: [follows ? 'my-org/a' : 'my-org/b'],
        })),
      )
    fc.assert(
      fc.property(clusters, (written) => {
        const fleet = fleetOf(written)
        const waves = wavesOf(fleet, 'my-org/a')
        const waveOf = new Map(waves.flatMap((names, wave) => names.map((each) => [each, wave] as const)))
        const followers = written.filter(({ repositories }) => repositories[0] === 'my-org/a').map((each) => each.name)
        expect([...waveOf.keys()].sort()).toEqual(followers.sort())
        expect(waves.every((names) => names.length > 0)).toBe(true)

        const ancestors = (each: string): string[] =>
          (written.find((other) => other.name === each)?.after ?? []).flatMap((before) => [
            before,
            ...ancestors(before),
          ])
        for (const [each, wave] of waveOf) {
          const before = ancestors(each).flatMap((ancestor) => waveOf.get(ancestor) ?? [])
          expect(wave).toBe(Math.max(-1, ...before) + 1)
        }
      }),
    )
  })
})
