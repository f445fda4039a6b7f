import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

const limitMs = 10_000

/**
 * Whether a GET of `url` answers 200 now. Certificates are not checked: it asks processes on this machine for their
 * health, and sends a token only where one is given.
 */
export function answers(url: string, { token }: { readonly token?: string } = {}): Promise<boolean> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp
  return new Promise((done) => {
    const sent = request(
      url,
      {
        agent: false,
        rejectUnauthorized: false,
        signal: AbortSignal.timeout(limitMs),
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      },
      (response) => {
        response.resume().on('error', () => done(false))
        response.on('end', () => done(response.statusCode === 200))
      },
    )
    sent.on('error', () => done(false)).end()
  })
}
