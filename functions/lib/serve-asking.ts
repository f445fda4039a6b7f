import { SFNClient } from '@aws-sdk/client-sfn'
import { SNSClient } from '@aws-sdk/client-sns'
import { SfnTaskTokens } from './approval/sfn-task-tokens.ts'
import { SnsApprovers } from './approval/sns-approvers.ts'
import { required } from './environment.ts'
import { linkSecretsFrom } from './link-secrets.ts'
import { limitsInSteps } from './request-limits.ts'
import { portsFromEnvironment } from './serve.ts'
import { type AskPorts, bindStep, type Invocation, type Step } from './step.ts'

/**
 * Makes a Lambda handler of a step that asks people. Environment: that of `serve`; APPROVAL_SECRET_ARN, with which links
 * are signed; APPROVAL_TOPIC_ARN, by which they are sent; APPROVAL_URL, where their page is.
 */
export function serveAsking<Input, Output>(step: Step<Input, Output, AskPorts>): Invocation {
  let ports: AskPorts | undefined
  return bindStep(step, () => {
    ports ??= askPortsFromEnvironment(step.name)
    return ports
  })
}

/** What `serveAsking` gives its step. */
export function askPortsFromEnvironment(step: string): AskPorts {
  const topicArn = required('APPROVAL_TOPIC_ARN', process.env.APPROVAL_TOPIC_ARN)
  return {
    ...portsFromEnvironment(step),
    tasks: new SfnTaskTokens(new SFNClient({ ...limitsInSteps })),
    approvers: new SnsApprovers({ client: new SNSClient({ ...limitsInSteps }), topicArn }),
    linkSecrets: linkSecretsFrom(required('APPROVAL_SECRET_ARN', process.env.APPROVAL_SECRET_ARN)),
    approvalUrl: required('APPROVAL_URL', process.env.APPROVAL_URL),
  }
}
