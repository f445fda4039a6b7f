import type { IncomingMessage } from 'node:http'
import { largestBody } from '../../functions/webhook/delivery.ts'

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Buffer
}

/** A request that is refused; the message is for whoever sent it. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify(body),
})

export const isRead = ({ method }: IncomingMessage) => method === 'GET' || method === 'HEAD'

/** Throws Refused as soon as the body is known to be too large: the rest is not kept. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = new Refused(413, 'The body is larger than 6 MB.')
  if (Number(request.headers['content-length'] ?? 0) > largestBody) throw tooLarge
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= largestBody) chunks.push(chunk)
      else {
        chunks.length = 0
        reject(tooLarge)
      }
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('error', () => reject(new Refused(400, 'The body did not arrive whole.')))
  })
}

/** Headers as functions get them. */
export function headersOf(request: IncomingMessage): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(request.headers)) headers[name] = value?.toString()
  return headers
}
