import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { EventBridgeClient } from '@aws-sdk/client-eventbridge'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { systemClock } from './clock.ts'
import { required } from './environment.ts'
import { EventBridgeEvents } from './eventbridge-events.ts'
import { parseFleet } from './fleet.ts'
import { DynamoDbLedger } from './ledger/dynamodb-ledger.ts'
import { powertoolsLog } from './powertools-log.ts'
import { powertoolsMetrics } from './powertools-metrics.ts'
import { limitsInSteps } from './request-limits.ts'
import { bindStep, type Invocation, type Ports, type Step } from './step.ts'

/**
 * Makes a Lambda handler of a step that needs no cluster. Clients are made at the first invocation and kept while the
 * function is warm. Environment: LEDGER_TABLE and AUDIT_TABLE; EVENT_BUS, the name of the bus for events; LOCKSTEP_FLEET is put into the
 * bundle when it is built.
 */
export function serve<Input, Output>(step: Step<Input, Output, Ports>): Invocation {
  let ports: Ports | undefined
  return bindStep(step, () => {
    ports ??= portsFromEnvironment(step.name)
    return ports
  })
}

/** The ports of every function, from its environment. Throws FleetInvalid, and an error that names what is not set. */
export function portsFromEnvironment(step: string): Ports {
  const fleet = parseFleet(JSON.parse(required('LOCKSTEP_FLEET', process.env.LOCKSTEP_FLEET)))
  const client = DynamoDBDocumentClient.from(new DynamoDBClient({ ...limitsInSteps }), {
    marshallOptions: { removeUndefinedValues: true },
  })
  const table = required('LEDGER_TABLE', process.env.LEDGER_TABLE)
  const bus = required('EVENT_BUS', process.env.EVENT_BUS)
  const auditTable = required('AUDIT_TABLE', process.env.AUDIT_TABLE)
  return {
    clock: systemClock,
    fleet,
    ledger: new DynamoDbLedger({ client, table, auditTable, clock: systemClock }),
    log: powertoolsLog(`lockstep-${step}`),
    events: new EventBridgeEvents({ client: new EventBridgeClient({ ...limitsInSteps }), bus }),
    metrics: powertoolsMetrics(),
  }
}
