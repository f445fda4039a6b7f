import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readLink, signLink } from '../../../functions/lib/approval/approval-link.ts'

const secrets = { current: 'a secret of the tests' }
const link = { approval: 'unlock-1', approver: 'bob ünï', expiresAt: 1_000, judged: 'f'.repeat(64) }
const token = signLink(link, secrets)

it('is read back as it was signed, in the letters of an address', () => {
  expect(readLink(token, secrets, 999)).toEqual(link)
  expect(token).toBe(encodeURIComponent(token))
})

it('is good until it expires', () => {
  expect(readLink(token, secrets, 1_000)).toBe('expired')
})

it('is good during a rotation of the secret, and not after it', () => {
  expect(readLink(token, { current: 'new', previous: secrets.current }, 0)).toEqual(link)
  expect(readLink(token, { current: 'new' }, 0)).toBe('invalid')
  expect(readLink(token, { current: 'new', previous: '' }, 0)).toBe('invalid')
  expect(readLink(signLink(link, { current: '' }), { current: 'new', previous: '' }, 0)).toBe('invalid')
})

it('is refused with any character changed, added or left out', () => {
  const character = fc.constantFrom(...'abcXYZ019-_.=% ')
  const changes = fc.tuple(fc.nat(token.length), character, fc.constantFrom(0, 1))
  fc.assert(
    fc.property(changes, ([at, put, over]) => {
      const changed = token.slice(0, at) + put + token.slice(at + over)
      if (changed !== token) expect(readLink(changed, secrets, 0)).toBe('invalid')
      if (at < token.length) expect(readLink(token.slice(0, at), secrets, 0)).toBe('invalid')
    }),
    { numRuns: 3_000 },
  )
})

it('is refused in any other spelling', () => {
  const last = token.at(-1) ?? ''
  for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.replace(last, ''))
    expect(readLink(token.slice(0, -1) + other, secrets, 0)).toBe('invalid')
})

it('is refused with the signature of another link', () => {
  const [body] = signLink({ ...link, approver: 'carol' }, secrets).split('.')
  expect(readLink(`${body}.${token.split('.')[1]}`, secrets, 0)).toBe('invalid')
  expect(readLink('a'.repeat(1_000_000), secrets, 0)).toBe('invalid')
  expect(readLink('', secrets, 0)).toBe('invalid')
})
