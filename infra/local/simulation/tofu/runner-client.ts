import { type Clock, sleep } from '../../../../functions/lib/clock.ts'
import {
  Disconnected,
  type RunnerConnection,
  RunnerFailure,
  type RunnerReply,
  type RunnerRequest,
  Unreachable,
} from './runner.ts'

/** What gRPC waits before it dials again: grows by 1.6 up to the limit. In milliseconds. */
const firstRedial = 1_000
const redialLimit = 120_000
/** A call whose connection breaks is sent again, this many times in all. */
const attempts = 4

/**
 * Calls a runner as tofu-controller does: it waits for the runner to be there, without an end, and sends a call again
 * whose connection broke. So a runner that died and whose address nobody has any more is waited for for ever.
 */
export class RunnerClient {
  private readonly connection: RunnerConnection
  private readonly clock: Clock
  private readonly signal: AbortSignal

  /** `signal` is the end of the controller's work: a call under way ends with it, for the runner too. */
  constructor(connection: RunnerConnection, clock: Clock, signal: AbortSignal) {
    this.connection = connection
    this.clock = clock
    this.signal = signal
  }

  /**
   * Without `timeoutMs` it takes as long as it takes. Throws RunnerFailure, also when the time is over or the connection
   * broke too often, and the signal's reason.
   */
  async call(request: RunnerRequest, timeoutMs?: number): Promise<RunnerReply> {
    const deadline = new AbortController()
    const cancel = timeoutMs === undefined ? () => {} : this.clock.after(timeoutMs, () => deadline.abort())
    try {
      return await this.callUntil(request, AbortSignal.any([this.signal, deadline.signal]))
    } catch (error) {
      this.signal.throwIfAborted()
      if (deadline.signal.aborted) throw failed('DeadlineExceeded', 'context deadline exceeded')
      if (error instanceof Disconnected) throw failed('Unavailable', error.message)
      throw error
    } finally {
      cancel()
    }
  }

  close(): void {
    this.connection.close()
  }

  private async callUntil(request: RunnerRequest, stop: AbortSignal): Promise<RunnerReply> {
    let redial = firstRedial
    for (let attempt = 1; ; ) {
      try {
        return await this.connection.call(request, stop)
      } catch (error) {
        stop.throwIfAborted()
        if (error instanceof Disconnected && attempt < attempts) attempt++
        else if (!(error instanceof Unreachable)) throw error
        else {
          await sleep(this.clock, redial, stop)
          stop.throwIfAborted()
          redial = Math.min(redial * 1.6, redialLimit)
        }
      }
    }
  }
}

function failed(code: string, message: string): RunnerFailure {
  return new RunnerFailure(`rpc error: code = ${code} desc = ${message}`)
}
