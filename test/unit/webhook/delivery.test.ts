import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deliveryOf, isSigned } from '../../../functions/webhook/delivery.ts'

const secrets = { current: 'current', previous: 'previous' }
const digest = (key: string, body: Uint8Array) => createHmac('sha256', key).update(body).digest('hex')

function isAccepted(body: Uint8Array, signature: string, accepted: { current: string; previous?: string } = secrets) {
  const request = {
    headers: { 'X-Hub-Signature-256': signature },
    body: Buffer.from(body).toString('base64'),
    isBase64Encoded: true,
  }
  return isSigned(deliveryOf(request), accepted)
}

const bodies = fc.uint8Array({ minLength: 1, maxLength: 300 })
const flips = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }))

/** `bytes` with one byte changed. */
function flipped(bytes: Uint8Array, [at, mask]: [number, number]): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ mask
  return copy
}

describe('isSigned', () => {
  it('takes any bytes, text or not, signed with either secret', () => {
    fc.assert(
      fc.property(bodies, fc.constantFrom('current', 'previous'), (body, key) => {
        expect(isAccepted(body, `sha256=${digest(key, body)}`)).toBe(true)
      }),
    )
  })

  it('refuses any change of a byte of the body', () => {
    fc.assert(
      fc.property(bodies, flips, (body, flip) => {
        expect(isAccepted(flipped(body, flip), `sha256=${digest('current', body)}`)).toBe(false)
      }),
    )
  })

  it('refuses any change of a byte of the signature', () => {
    fc.assert(
      fc.property(bodies, flips, (body, flip) => {
        const signature = Buffer.from(`sha256=${digest('current', body)}`)
        expect(isAccepted(body, Buffer.from(flipped(signature, flip)).toString('latin1'))).toBe(false)
      }),
    )
  })

  it('tells bytes apart that decode to the same text', () => {
    const signature = `sha256=${digest('current', Uint8Array.of(0xff))}`
    expect(isAccepted(Uint8Array.of(0xff), signature)).toBe(true)
    expect(isAccepted(Uint8Array.of(0xfe), signature)).toBe(false)
  })

  it('never takes what is signed with an empty secret', () => {
    const body = Buffer.from('{}')
    expect(isAccepted(body, `sha256=${digest('', body)}`, { current: 'current', previous: '' })).toBe(false)
    expect(isAccepted(body, `sha256=${digest('', body)}`, { current: '' })).toBe(false)
  })
})
