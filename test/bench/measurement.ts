/** What was measured against one target: a line of the table. */
export interface Measurement {
  readonly what: string
  /** The most that is allowed, for people to read; '' where the line only tells. */
  readonly target: string
  /** What it was, for people to read. */
  readonly measured: string
  /** Undefined when it could not be measured. */
  readonly ok: boolean | undefined
  /** The numbers behind `measured`. Each name ends with its unit. */
  readonly values: Readonly<Record<string, number>>
}

/** A row of the benchmark: measures, and answers a line for each of its targets. */
export type Measure = () => Promise<readonly Measurement[]>
