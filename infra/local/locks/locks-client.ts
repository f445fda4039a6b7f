import { LockstepError } from '../../../functions/lib/errors.ts'
import type { ApprovalLine } from '../views/approval-view.ts'
import type { LockLine, LocksView, LockView } from '../views/lock-view.ts'
import type { UnlockRunView, UnlockStarted } from '../views/unlock-run-view.ts'
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
export type UnlockRunAnswer = Timed & { readonly unlock: UnlockRunView }
export type ApprovalsAnswer = Timed & { readonly approvals: readonly ApprovalLine[] }
export type ApprovalAnswer = Timed & { readonly approval: ApprovalLine }

/** What a person says about an approval. */
export interface Said {
  readonly as: string
  readonly decision: 'approve' | 'deny'
  readonly reason?: string
}

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

  /** Starts a guarded unlock, unless one is under way. Takes and throws what `find` does. */
  async start(id: string, asked: { readonly by?: string; readonly reason?: string }): Promise<UnlockStarted> {
    return this.post(`/api/locks/${await this.keyOf(id)}/unlock`, asked) as Promise<UnlockStarted>
  }

  /** How far an unlock is. Throws as `list`. */
  async follow(unlock: string): Promise<UnlockRunAnswer> {
    return this.get(`/api/unlocks/${encodeURIComponent(unlock)}`) as Promise<UnlockRunAnswer>
  }

  /** What waits for people. Throws as `list`. */
  async approvals(): Promise<ApprovalsAnswer> {
    return this.get('/api/approvals') as Promise<ApprovalsAnswer>
  }

  /** By its id, a lock's id or its beginning, an object, a plan, or the commit before a wave. Throws ApprovalUnknown, and as `find`. */
  async decide(id: string, said: Said): Promise<ApprovalAnswer> {
    const { approvals } = await this.approvals()
    const [match, other] = waitingFor(approvals, id)
    if (other)
      throw ambiguous(
        id,
        waitingFor(approvals, id).map((each) => `${each.id} (${namesOf(each)[0] ?? each.kind})`),
      )
    if (!match) {
      const next = 'See what does with npm run locks -- approvals.'
      throw new LockstepError('ApprovalUnknown', `Nothing by the name ${id} waits for people.`, next)
    }
    const { id: approval, judged } = match
    return this.post(`/api/approvals/${encodeURIComponent(approval)}`, { ...said, judged }) as Promise<ApprovalAnswer>
  }

  private async keyOf(id: string): Promise<string> {
    const { locks } = await this.list()
    const [match, other] = matching(locks, id)
    if (other) {
      const names = matching(locks, id).map((lock) => `${lock.id ?? lock.key} (${lock.object ?? 'no object'})`)
      throw ambiguous(id, names)
    }
    // A place that is free is not listed; by its key it can be asked for.
    const key = match?.key ?? (/^[0-9a-f]{16}$/.test(id) ? id : undefined)
    if (key === undefined) {
      throw new LockstepError('LockUnknown', `No scan has found a lock ${id}.`, 'See which ones there are with list.')
    }
    return encodeURIComponent(key)
  }

  private get(path: string): Promise<unknown> {
    return this.ask(path)
  }

  private post(path: string, body: object): Promise<unknown> {
    return this.ask(path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
  }

  private async ask(path: string, init?: RequestInit): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, init).catch(() => {
      const next = 'Start one with npm start, or say with --url where it is.'
      throw new LockstepError('HostUnreachable', `No local host answers at ${this.url}.`, next)
    })
    const answer: unknown = await response.json().catch(() => undefined)
    if (response.ok && typeof answer === 'object') return answer
    const said = (answer as { error?: unknown } | undefined)?.error ?? `${response.status}`
    // What it says itself tells what to do.
    const next = response.status < 500 && said !== `${response.status}` ? '' : 'Check that a local host is there.'
    throw new LockstepError('HostRefused', `${this.url} answers: ${said}`, next)
  }
}

function ambiguous(id: string, names: readonly string[]): LockstepError {
  return new LockstepError('LockAmbiguous', `${id} may be any of ${names.join(', ')}.`, 'Give more of the id.')
}

function waitingFor(approvals: readonly ApprovalLine[], id: string): readonly ApprovalLine[] {
  const exact = approvals.filter((each) => each.id === id || namesOf(each).includes(id))
  if (exact.length > 0) return exact
  return approvals.filter((each) => {
    if (each.kind === 'wave') return each.commit.startsWith(id)
    return each.object.endsWith(`/${id}`) || (each.kind === 'unlock' && each.lock.startsWith(id))
  })
}

/** What a person may call it, the best name first. */
function namesOf(approval: ApprovalLine): string[] {
  switch (approval.kind) {
    case 'unlock':
      return [approval.object, approval.lock, approval.place]
    case 'plan':
      return [approval.object, approval.plan]
    case 'wave':
      return [approval.commit, approval.branch]
  }
}

/** What names a lock exactly comes before what begins like it. */
function matching(locks: readonly LockLine[], id: string): readonly LockLine[] {
  const exact = locks.filter((lock) => [lock.id, lock.key, lock.object].includes(id))
  if (exact.length > 0) return exact
  return locks.filter((lock) => lock.id?.startsWith(id) || lock.object?.endsWith(`/${id}`))
}
