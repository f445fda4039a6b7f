/**
 * How long a request to AWS may take, in milliseconds, and how often it is tried: what a client of the SDK is made with, as in
 * `new SNSClient({ ...limitsInSteps })`. By itself the SDK waits for an answer without end, and Lambda's own timeout is minutes
 * away. A request that was given up is tried again by the SDK, after a pause of some 100 ms that doubles.
 */
interface RequestLimits {
  readonly maxAttempts: number
  readonly requestHandler: {
    readonly connectionTimeout: number
    /** Until the answer begins. */
    readonly requestTimeout: number
    /** Without it the SDK only warns. */
    readonly throwOnRequestTimeout: true
  }
}

function limits(maxAttempts: number, connectionTimeout: number, requestTimeout: number): RequestLimits {
  return { maxAttempts, requestHandler: { connectionTimeout, requestTimeout, throwOnRequestTimeout: true } }
}

/** GitHub waits 10 s for an answer to a push, and a person not much longer: two requests, each tried twice, end before that. */
export const limitsWhileSomebodyWaits = limits(2, 1_000, 2_000)

/** Small requests of a step, which has a minute at least. */
export const limitsInSteps = limits(3, 2_000, 5_000)

/** Requests that read or write much: pages of a lock table, a state of megabytes, the clusters of all waves. */
export const limitsForContent = limits(3, 2_000, 10_000)
