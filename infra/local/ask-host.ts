import { LockstepError } from '../../functions/lib/errors.ts'

/**
 * Asks a local host over its HTTP API; `path` begins with a slash. With `body` it is a POST. Answers the JSON document.
 * Throws HostUnreachable, HostRefused.
 */
export async function askHost(url: string, path: string, body?: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  const init = body && { method: 'POST', body: JSON.stringify(body), headers }
  const response = await fetch(`${url}${path}`, init).catch(() => {
    const next = 'Start one with npm start, or say with --url where it is.'
    throw new LockstepError('HostUnreachable', `No local host answers at ${url}.`, next)
  })
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok && typeof answer === 'object') return answer
  const said = (answer as { error?: unknown } | undefined)?.error ?? `${response.status}`
  // What it says itself tells what to do.
  const next = response.status < 500 && said !== `${response.status}` ? '' : 'Check that a local host is there.'
  throw new LockstepError('HostRefused', `${url} answers: ${said}`, next)
}
