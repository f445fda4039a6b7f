import { type Clock, sleep } from '../clock.ts'
import { NotifierUnavailable } from './notifier-error.ts'

export interface PatientFetchOptions {
  readonly clock: Clock
  /** For errors: `Slack`. */
  readonly channel: string
  /** No further try begins after it, in milliseconds since the epoch. */
  readonly giveUpAt: () => number
  readonly fetch?: typeof fetch
}

/** Before each further try, where the answer does not say how long to wait. */
const pausesMs = [500, 2_000, 5_000]

/** One try. */
const timeoutMs = 5_000

/**
 * `fetch` that waits as long as a server asks for (429, and GitHub's 403 for a limit that is used up), and tries again after a 5xx
 * or a connection that broke: four times at most, and not past `giveUpAt`. Any other answer is the caller's. Rejects
 * with NotifierUnavailable. No error has an address in it: that of a webhook is a secret.
 */
export function patientFetch({ clock, channel, giveUpAt, fetch: send = fetch }: PatientFetchOptions): typeof fetch {
  return async (input, init) => {
    for (let tried = 0; ; tried++) {
      const answer = await once(send, input, init)
      const reason = typeof answer === 'string' ? answer : troubleOf(answer)
      if (reason === undefined && typeof answer !== 'string') return answer
      const pause = pausesMs[tried]
      const wait = typeof answer === 'string' ? pause : (askedPause(answer, clock.now()) ?? pause)
      if (typeof answer !== 'string') await answer.body?.cancel()
      if (pause === undefined || wait === undefined || clock.now() + wait > giveUpAt()) {
        throw new NotifierUnavailable(channel, reason ?? '')
      }
      await sleep(clock, wait)
    }
  }
}

/** A response, or why there is none. */
async function once(
  send: typeof fetch,
  input: Parameters<typeof fetch>[0],
  init?: RequestInit,
): Promise<Response | string> {
  try {
    // A redirect could lead a token elsewhere.
    return await send(input, { ...init, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError' ? 'no answer in time' : 'no connection'
  }
}

/** Undefined where the answer is one. */
function troubleOf({ status, headers }: Response): string | undefined {
  if (status === 429 || status >= 500) return `status ${status}`
  // https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
  const isLimit = status === 403 && (headers.has('retry-after') || headers.get('x-ratelimit-remaining') === '0')
  return isLimit ? 'the rate limit is used up' : undefined
}

/** How long the answer asks to wait, in milliseconds. */
function askedPause({ headers }: Response, now: number): number | undefined {
  const after = headers.get('retry-after')
  if (after !== null && /^\d+$/.test(after)) return Number(after) * 1_000
  const reset = headers.get('x-ratelimit-remaining') === '0' ? headers.get('x-ratelimit-reset') : null
  return reset !== null && /^\d+$/.test(reset) ? Math.max(0, Number(reset) * 1_000 - now) : undefined
}
