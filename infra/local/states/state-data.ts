import type { Json } from './jsonata-expression.ts'
import { StateError } from './state-error.ts'

/** UTF-8 bytes of what a state takes or gives, as of Step Functions. */
export const dataLimitBytes = 262_144

/** A value as JSON text. Throws StateError States.DataLimitExceeded when it is too large; `what` begins the cause. */
export function jsonText(value: Json, what: string): string {
  const text = JSON.stringify(value)
  if (Buffer.byteLength(text) <= dataLimitBytes) return text
  throw new StateError('States.DataLimitExceeded', `${what} is larger than ${dataLimitBytes} bytes.`)
}

/** What an expression for a number of seconds or of iterations yielded. Throws StateError States.QueryEvaluationError. */
export function wholeNumber(value: Json, field: string, least: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= 99_999_999) return value
  throw new StateError(
    'States.QueryEvaluationError',
    `The field '${field}' did not yield a whole number from ${least} to 99999999.`,
    field,
  )
}
