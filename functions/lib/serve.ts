import { Logger } from '@aws-lambda-powertools/logger'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { systemClock } from './clock.ts'
import { parseFleet } from './fleet.ts'
import { eksClusters } from './kubernetes/eks.ts'
import { DynamoDbLedger } from './ledger/dynamodb-ledger.ts'
import type { Log } from './log.ts'
import { bindStep, type Invocation, type Ports, type Step } from './step.ts'

/** Lambda ends a function after 15 minutes; what is left is for the slice's last requests. */
const sliceMs = 10 * 60_000

let shared: Ports | undefined

/**
 * Makes a Lambda handler of a step. Clients are made at the first invocation and kept while the function is warm.
 * Environment: LEDGER_TABLE; LOCKSTEP_FLEET is put into the bundle when it is built.
 */
export function serve<Input, Output>(step: Step<Input, Output>): Invocation {
  return bindStep(step, () => {
    shared ??= portsFromEnvironment(step.name)
    return shared
  })
}

function portsFromEnvironment(step: string): Ports {
  const fleet = parseFleet(JSON.parse(required('LOCKSTEP_FLEET', process.env.LOCKSTEP_FLEET)))
  const client = DynamoDBDocumentClient.from(new DynamoDBClient({}), {
    marshallOptions: { removeUndefinedValues: true },
  })
  return {
    clock: systemClock,
    fleet,
    ledger: new DynamoDbLedger({
      client,
      table: required('LEDGER_TABLE', process.env.LEDGER_TABLE),
      clock: systemClock,
    }),
    clusters: eksClusters({ clock: systemClock, fleet }),
    log: logTo(new Logger({ serviceName: `lockstep-${step}` })),
    sliceMs,
  }
}

function logTo(logger: Logger): Log {
  return {
    info: (message, fields) => logger.info(message, fields ?? {}),
    warn: (message, fields) => logger.warn(message, fields ?? {}),
  }
}

function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`${name} is not set for this function. Deploy again.`)
  return value
}
