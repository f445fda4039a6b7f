/**
 * How long a request to AWS may take, in milliseconds, and how often it is tried: what a client of the SDK is made with, as in
 * `new SNSClient({ ...limitsInSteps })`. By itself the SDK waits for an answer without end, and Lambda's own timeout is minutes
 * away. A request that was given up is tried again by the SDK, after a pause of some 100 ms that doubles.
 */
export interface RequestLimits {
  readonly maxAttempts: number
  readonly requestHandler: {
    readonly connectionTimeout: number
    /** Until the answer begins, connecting included. */
    readonly requestTimeout: number
    /** Without it the SDK only warns. */
    readonly throwOnRequestTimeout: true
    /** Until more of the answer comes. */
    readonly socketTimeout: number
  }
}

/** An answer that has begun may be silent for as long as one that has not. */
export function requestLimits(maxAttempts: number, connectionTimeout: number, requestTimeout: number): RequestLimits {
  const socketTimeout = requestTimeout
  return {
    maxAttempts,
    requestHandler: { connectionTimeout, requestTimeout, throwOnRequestTimeout: true, socketTimeout },
  }
}

/** GitHub waits 10 s for an answer to a push, and a person not much longer: two requests, each tried twice, end before that. */
export const limitsWhileSomebodyWaits = requestLimits(2, 1_000, 2_000)

/** Small requests of a step, which has a minute at least. */
export const limitsInSteps = requestLimits(3, 2_000, 5_000)

/** Requests that read or write much: pages of a lock table, a state of megabytes, the clusters of all waves. */
export const limitsForContent = requestLimits(3, 2_000, 10_000)
