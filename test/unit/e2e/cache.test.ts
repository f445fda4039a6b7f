import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Cache, cacheDirectory, cacheKey } from '../../e2e/upstream/cache.ts'
import { scratch } from './scratch.ts'

describe('cacheDirectory', () => {
  it('is the one that was named, else that of the desktop, else the home', () => {
    expect(cacheDirectory({ LOCKSTEP_CACHE: '/a', XDG_CACHE_HOME: '/b', HOME: '/c' })).toBe('/a')
    expect(cacheDirectory({ LOCKSTEP_CACHE: '', XDG_CACHE_HOME: '/b', HOME: '/c' })).toBe('/b/lockstep')
    expect(cacheDirectory({ HOME: '/c' })).toBe('/c/.cache/lockstep')
  })
})

describe('cacheKey', () => {
  it('depends on every part and on where it ends', () => {
    expect(cacheKey(['a', 'b'])).toBe(cacheKey(['a', 'b']))
    expect(cacheKey(['a', 'b'])).not.toBe(cacheKey(['a', 'c']))
    expect(cacheKey(['a', 'b'])).not.toBe(cacheKey(['ab']))
  })
})

describe('a cache', () => {
  const fill = (text: string) => (entry: { directory: string }) => writeFile(join(entry.directory, 'file'), text)

  it('makes an entry once', async () => {
    const cache = new Cache(await scratch())
    expect(await cache.has('x', '1')).toBe(false)
    const path = await cache.entry('x', '1', fill('first'))
    expect(await cache.entry('x', '1', fill('second'))).toBe(path)
    expect(await readFile(join(path, 'file'), 'utf8')).toBe('first')
    expect(await cache.has('x', '1')).toBe(true)
    expect(await cache.has('x', '2')).toBe(false)
    expect(await readdir(join(cache.directory, 'unfinished'))).toEqual([])
  })

  it('has no half of an entry that could not be made, and keeps its log', async () => {
    const cache = new Cache(await scratch())
    const failing = cache.entry('x', '1', async (entry) => {
      await writeFile(join(entry.directory, 'half'), '')
      await writeFile(entry.log, 'why')
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await cache.has('x', '1')).toBe(false)
    expect(await readdir(join(cache.directory, 'unfinished'))).toEqual([])
    expect(await readFile(cache.logOf('x'), 'utf8')).toBe('why')
  })

  it('is shared by two that make the same entry at the same time: both get the whole one that was first', async () => {
    const cache = new Cache(await scratch())
    const bothBegan = Promise.withResolvers<void>()
    const first = Promise.withResolvers<void>()
    const slow = cache.entry('x', '1', async (entry) => {
      bothBegan.resolve()
      await first.promise
      await fill('slow')(entry)
    })
    await bothBegan.promise
    const path = await cache.entry('x', '1', fill('quick'))
    first.resolve()
    expect(await slow).toBe(path)
    expect(await readFile(join(path, 'file'), 'utf8')).toBe('quick')
    expect(await readdir(join(cache.directory, 'unfinished'))).toEqual([])
  })

  it('removes what somebody who was killed left long ago, and nothing that may still be worked on', async () => {
    const cache = new Cache(await scratch())
    const unfinished = join(cache.directory, 'unfinished')
    for (const name of ['old', 'new']) await mkdir(join(unfinished, name), { recursive: true })
    const yesterday = new Date(Date.now() - 24 * 60 * 60 * 1000)
    await utimes(join(unfinished, 'old'), yesterday, yesterday)
    await cache.entry('x', '1', fill('whole'))
    expect(await readdir(unfinished)).toEqual(['new'])
  })
})
