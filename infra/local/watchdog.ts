import { type Clock, sleep } from '../../functions/lib/clock.ts'
import type { Log } from '../../functions/lib/log.ts'
import type { Invocation } from '../../functions/lib/step.ts'
import type { Activity } from './virtual-clock.ts'

/** An execution that ended without cleaning up, as the event of its end tells of it. */
export interface BadEnd {
  readonly executionArn: string
  readonly name: string
  readonly status: string
  readonly error?: string | null
  readonly cause?: string | null
}

export interface WatchdogOptions {
  readonly clock: Clock
  readonly activity: Activity
  readonly log: Log
  /** What puts back what an execution has left. */
  readonly restore: Invocation
  /** Ends all tries. */
  readonly signal: AbortSignal
}

const firstPauseMs = 1_000
const longestPauseMs = 60_000

/** How long it is tried, in milliseconds: a cluster may be away for an hour. */
const patienceMs = 2 * 3_600_000

const badEnds: ReadonlySet<string> = new Set(['ABORTED', 'TIMED_OUT', 'FAILED'])

/**
 * Has put back what an execution has left behind that ended badly, and tries again for as long as that fails: what event
 * rules, and the retries of the functions that they call, do on AWS (infra/aws/restore-rule.ts). Never throws.
 */
export class Watchdog {
  private readonly options: WatchdogOptions

  constructor(options: WatchdogOptions) {
    this.options = options
  }

  /** Does nothing about an end that is none of these. */
  told(end: BadEnd): void {
    if (badEnds.has(end.status)) void this.restore(end)
  }

  private async restore({ executionArn, name, status, error, cause }: BadEnd): Promise<void> {
    const { clock, log, signal } = this.options
    const giveUpAt = clock.now() + patienceMs
    for (let pause = firstPauseMs; !signal.aborted; pause = Math.min(pause * 2, longestPauseMs)) {
      const failure = await this.tried({ detail: { executionArn, name, status, error, cause } })
      if (failure === undefined || signal.aborted) return
      log.warn('restore failed', { execution: name, error: failure })
      if (clock.now() >= giveUpAt) return
      await sleep(clock, pause, signal)
    }
  }

  /** Answers the error's name where it failed. */
  private async tried(event: object): Promise<string | undefined> {
    const done = this.options.activity.begin()
    try {
      await this.options.restore(event)
      return undefined
    } catch (error) {
      return error instanceof Error ? error.name : 'unknown'
    } finally {
      done()
    }
  }
}
