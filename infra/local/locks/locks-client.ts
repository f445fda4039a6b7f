import { LockstepError } from '../../../functions/lib/errors.ts'
import type { LockLine, LocksView, LockView } from '../views/lock-view.ts'
import type { UnlockView } from '../views/unlock-view.ts'

/** The host's time and pace come with every answer. */
interface Timed {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** How many times as fast as real time its clock runs. */
  readonly speed: number
}

export type LocksAnswer = Timed & LocksView
export type LockAnswer = Timed & { readonly lock: LockView }
export type UnlockAnswer = Timed & { readonly unlock: UnlockView }

/** A local host's locks, over its HTTP API. */
export class LocksClient {
  private readonly url: string

  /** `url` of the console, without a path. */
  constructor(url: string) {
    this.url = url
  }

  /** Throws HostUnreachable, HostRefused. */
  list(): Promise<LocksAnswer> {
    return this.get('/api/locks') as Promise<LocksAnswer>
  }

  /** By a lock's id or its beginning, an object, or a place's key. Throws LockUnknown, LockAmbiguous, and as `list`. */
  async find(id: string): Promise<LockAnswer> {
    return this.get(`/api/locks/${await this.keyOf(id)}`) as Promise<LockAnswer>
  }

  /** What an unlock would do. Changes nothing. Takes and throws what `find` does. */
  async plan(id: string): Promise<UnlockAnswer> {
    return this.get(`/api/locks/${await this.keyOf(id)}/unlock`) as Promise<UnlockAnswer>
  }

  private async keyOf(id: string): Promise<string> {
    const { locks } = await this.list()
    const [match, other] = matching(locks, id)
    if (other) {
      const names = matching(locks, id).map((lock) => `${lock.id ?? lock.key} (${lock.object ?? 'no object'})`)
      throw new LockstepError('LockAmbiguous', `${id} may be any of ${names.join(', ')}.`, 'Give more of the id.')
    }
    // A place that is free is not listed; by its key it can be asked for.
    const key = match?.key ?? (/^[0-9a-f]{16}$/.test(id) ? id : undefined)
    if (key === undefined) {
      throw new LockstepError('LockUnknown', `No scan has found a lock ${id}.`, 'See which ones there are with list.')
    }
    return encodeURIComponent(key)
  }

  private async get(path: string): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`).catch(() => {
      const next = 'Start one with npm start, or say with --url where it is.'
      throw new LockstepError('HostUnreachable', `No local host answers at ${this.url}.`, next)
    })
    const answer: unknown = await response.json().catch(() => undefined)
    if (response.ok && typeof answer === 'object') return answer
    const said = (answer as { error?: unknown } | undefined)?.error ?? `${response.status}`
    throw new LockstepError('HostRefused', `${this.url} answers: ${said}`, 'Check that a local host is there.')
  }
}

/** What names a lock exactly comes before what begins like it. */
function matching(locks: readonly LockLine[], id: string): readonly LockLine[] {
  const exact = locks.filter((lock) => [lock.id, lock.key, lock.object].includes(id))
  if (exact.length > 0) return exact
  return locks.filter((lock) => lock.id?.startsWith(id) || lock.object?.endsWith(`/${id}`))
}
