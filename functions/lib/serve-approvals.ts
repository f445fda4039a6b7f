import { SFNClient } from '@aws-sdk/client-sfn'
import { SNSClient } from '@aws-sdk/client-sns'
import { SfnTaskTokens } from './approval/sfn-task-tokens.ts'
import { SnsApprovers } from './approval/sns-approvers.ts'
import { clustersFromEnvironment } from './clusters-from-environment.ts'
import { required } from './environment.ts'
import { linkSecretsFrom } from './link-secrets.ts'
import { portsFromEnvironment } from './serve.ts'
import { type ApprovalPorts, type AskPorts, bindStep, type Invocation, type Step } from './step.ts'

/** Lambda ends a function after 15 minutes; what is left is for the slice's last requests. */
const sliceMs = 10 * 60_000

/** A request that hangs is given up and tried again. */
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true }

/**
 * Makes a Lambda handler of a step that asks people about something in a cluster. Environment: that of `serveClusters`, and of
 * `serveAsking`.
 */
export function serveApprovals<Input, Output>(step: Step<Input, Output, ApprovalPorts>): Invocation {
  let ports: ApprovalPorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = askPortsFromEnvironment(step.name)
      ports = { ...base, clusters: clustersFromEnvironment(base, step.name), sliceMs }
    }
    return ports
  })
}

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

function askPortsFromEnvironment(step: string): AskPorts {
  const topicArn = required('APPROVAL_TOPIC_ARN', process.env.APPROVAL_TOPIC_ARN)
  return {
    ...portsFromEnvironment(step),
    tasks: new SfnTaskTokens(new SFNClient({ requestHandler })),
    approvers: new SnsApprovers({ client: new SNSClient({ requestHandler }), topicArn }),
    linkSecrets: linkSecretsFrom(required('APPROVAL_SECRET_ARN', process.env.APPROVAL_SECRET_ARN)),
    approvalUrl: required('APPROVAL_URL', process.env.APPROVAL_URL),
  }
}
