import * as z from 'zod'
import { isSignedBy, type Secrets, signatureOf } from '../rotating-secret.ts'

/** What a link lets one person do: look at one approval, and decide about it once. */
const linkSchema = z.object({
  /** The id of the approval. */
  approval: z.string(),
  /** The person's name in the fleet. */
  approver: z.string(),
  /** Milliseconds since the epoch. */
  expiresAt: z.number(),
  /** Of what the person was asked about: see `Approval.judged`. */
  judged: z.string(),
})
export type ApprovalLink = z.infer<typeof linkSchema>

/** No token of ours is as long. */
const longest = 2_000

/** The last part of a link's address: what it is for, and its signature. Whoever has it can decide as that person. */
export function signLink(link: ApprovalLink, secrets: Secrets): string {
  const body = Buffer.from(JSON.stringify(link)).toString('base64url')
  return `${body}.${signatureOf(body, secrets).toString('base64url')}`
}

/** What a link is for; `invalid` for one that we have not signed, whatever it says. */
export function readLink(token: string, secrets: Secrets, now: number): ApprovalLink | 'invalid' | 'expired' {
  const [, body, signed] = /^([\w-]+)\.([\w-]{43})$/.exec(token.slice(0, longest + 1)) ?? []
  if (token.length > longest || !body || !signed) return 'invalid'
  const signature = Buffer.from(signed, 'base64url')
  // Several texts decode to the same bytes: only ours is good.
  if (signature.toString('base64url') !== signed || !isSignedBy(body, signature, secrets)) return 'invalid'
  const link = linkSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()))
  return now >= link.expiresAt ? 'expired' : link
}
