import { readFileSync } from 'node:fs'
import * as z from 'zod'

const price = z.object({
  usd: z.number().positive(),
  per: z.string().min(1),
  source: z.url(),
  /** A page that says the same, and when it was written. */
  compared: z.object({ with: z.url(), of: z.string().regex(/^(\d{4}(-\d{2})?|undated)$/) }).optional(),
})

const pricesSchema = z.object({
  region: z.string(),
  asOf: z.string().regex(/^\d{4}-\d{2}$/),
  note: z.string(),
  prices: z.strictObject({
    stepFunctionsTransition: price,
    lambdaGbSecond: price,
    lambdaRequest: price,
    dynamodbWriteUnit: price,
    dynamodbReadUnit: price,
    dynamodbGbMonth: price,
    schedulerInvocation: price,
    eventBridgeEvent: price,
    snsPublish: price,
    snsMail: price,
    httpApiRequest: price,
    logsGb: price,
    metricMonth: price,
    alarmMetricMonth: price,
    dashboardMonth: price,
    xrayTrace: price,
    secretMonth: price,
    secretCall: price,
    kmsKeyMonth: price,
    kmsRequest: price,
    vpcEndpointMonth: price,
  }),
})

/** What AWS takes, in dollars, with the page that says so. */
export type Prices = z.output<typeof pricesSchema>
/** In the singular: what one of it costs is `prices.<item>.usd`. */
export type Item = keyof Prices['prices']

export function readPrices(): Prices {
  return pricesSchema.parse(JSON.parse(readFileSync(new URL('prices.json', import.meta.url), 'utf8')))
}
