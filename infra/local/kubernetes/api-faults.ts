import type { Verb } from './api-request.ts'

export interface FaultMatch {
  readonly verb?: Verb
  readonly kind?: string
  readonly name?: string
}

export type Fault =
  /** Answers with this HTTP status and a Status object. */
  | { readonly do: 'answer'; readonly status: number; readonly retryAfterSeconds?: number }
  /** Never answers; the connection stays open. */
  | { readonly do: 'hang' }
  /** Cuts the connection: a watch after that many events (default 0), any other request without an answer. */
  | { readonly do: 'drop'; readonly afterEvents?: number }
  /** A watch that opens and then says nothing, bookmarks included: what a dead connection looks like. */
  | { readonly do: 'mute' }
  /** Goes on after that many milliseconds. */
  | { readonly do: 'delay'; readonly ms: number }

interface Armed {
  readonly match: FaultMatch
  readonly fault: Fault
  left: number
}

/** What shall go wrong, and how often. The oldest fault that fits a request is used up first. */
export class ApiFaults {
  private armed: Armed[] = []

  inject(match: FaultMatch, fault: Fault, times = 1): void {
    this.armed.push({ match, fault, left: times })
  }

  clear(): void {
    this.armed = []
  }

  take(request: { verb: Verb; kind: string; name?: string | undefined }): Fault | undefined {
    const found = this.armed.find(
      ({ match, left }) =>
        left > 0 &&
        (match.verb ?? request.verb) === request.verb &&
        (match.kind ?? request.kind) === request.kind &&
        (match.name ?? request.name) === request.name,
    )
    if (!found) return undefined
    found.left--
    return found.fault
  }
}
