import { SFNClient } from '@aws-sdk/client-sfn'
import { SNSClient } from '@aws-sdk/client-sns'
import { clustersFromEnvironment } from './clusters-from-environment.ts'
import { required } from './environment.ts'
import { linkSecretsFrom } from './link-secrets.ts'
import { portsFromEnvironment } from './serve.ts'
import { type ApprovalPorts, bindStep, type Invocation, type Step } from './step.ts'
import { SfnTaskTokens } from './unlock/approval/sfn-task-tokens.ts'
import { SnsApprovers } from './unlock/approval/sns-approvers.ts'

/** These steps wait for nothing: no slice is used up. */
const sliceMs = 60_000

/** A request that hangs is given up and tried again. */
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true }

/**
 * Makes a Lambda handler of a step that asks people. Environment: that of `serve`; APPROVAL_SECRET_ARN, with which links
 * are signed; APPROVAL_TOPIC_ARN, by which they are sent; APPROVAL_URL, where their page is.
 */
export function serveApprovals<Input, Output>(step: Step<Input, Output, ApprovalPorts>): Invocation {
  let ports: ApprovalPorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = portsFromEnvironment(step.name)
      const topicArn = required('APPROVAL_TOPIC_ARN', process.env.APPROVAL_TOPIC_ARN)
      ports = {
        ...base,
        clusters: clustersFromEnvironment(base, step.name),
        sliceMs,
        tasks: new SfnTaskTokens(new SFNClient({ requestHandler })),
        approvers: new SnsApprovers({ client: new SNSClient({ requestHandler }), topicArn }),
        linkSecrets: linkSecretsFrom(required('APPROVAL_SECRET_ARN', process.env.APPROVAL_SECRET_ARN)),
        approvalUrl: required('APPROVAL_URL', process.env.APPROVAL_URL),
      }
    }
    return ports
  })
}
