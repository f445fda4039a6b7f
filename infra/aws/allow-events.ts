import { Stack } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { eventSource } from '../../functions/lib/events.ts'
import type { HandlerFunction } from './handler-function.ts'

/** The account's own: whoever wants to hear of a lock adds a rule to it. */
export const eventBus = 'default'

/** Lets a function publish events in Lockstep's own name, and no others. */
export function allowEvents(to: HandlerFunction): void {
  const bus = Stack.of(to).formatArn({ service: 'events', resource: 'event-bus', resourceName: eventBus })
  const conditions = { StringEquals: { 'events:source': eventSource } }
  to.role.addToPolicy(new PolicyStatement({ actions: ['events:PutEvents'], resources: [bus], conditions }))
}
