import { createHmac, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'

/** A secret that is replaced now and then: during a rotation both are good. */
export const secretsSchema = z.object({ current: z.string().min(1), previous: z.string().optional() })
export type Secrets = z.output<typeof secretsSchema>

/** HMAC-SHA256 with the current secret. */
export function signatureOf(body: string | Buffer, { current }: Secrets): Buffer {
  return createHmac('sha256', current).update(body).digest()
}

/**
 * Whether these bytes were signed with one of the secrets. Every secret is tried, in constant time, so that the time
 * tells nothing.
 */
export function isSignedBy(body: string | Buffer, signature: Buffer, { current, previous }: Secrets): boolean {
  // Anybody can sign with an empty secret.
  const secrets = [current, previous ?? ''].filter((secret) => secret !== '')
  const matches = secrets.map((secret) => {
    const right = signatureOf(body, { current: secret })
    return signature.length === right.length && timingSafeEqual(right, signature)
  })
  return matches.includes(true)
}
