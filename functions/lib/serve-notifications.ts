import { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { SNSClient } from '@aws-sdk/client-sns'
import type * as z from 'zod'
import type { NotifyPorts } from '../notify/notify.ts'
import { required } from './environment.ts'
import { LockstepError } from './errors.ts'
import { consoleLink } from './notify/console-link.ts'
import { GitHubStatuses, gitHubSecretSchema } from './notify/github-statuses.ts'
import { SlackMessages, slackSecretSchema } from './notify/slack-messages.ts'
import { SnsMessages } from './notify/sns-messages.ts'
import { limitsInSteps } from './request-limits.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type Invocation, type Step } from './step.ts'

/** A secret is not what its reader needs. Nothing of it is told. */
export class SecretUnreadable extends LockstepError {
  constructor(secret: string, reason: string) {
    super('SecretUnreadable', `Secret ${secret} cannot be used (${reason}).`, 'README, "Deploy", says what is in it.')
  }
}

/**
 * Makes a Lambda handler of a step that tells people. Environment: that of `serve`; NOTIFICATION_TOPIC_ARN; UNLOCK_EXECUTIONS, the ARN
 * of the executions of guarded unlocks up to their names; SLACK_SECRET and GITHUB_SECRET, names or ARNs, where the fleet wants
 * these told.
 */
export function serveNotifications<Input, Output>(step: Step<Input, Output, NotifyPorts>): Invocation {
  let ports: NotifyPorts | undefined
  return bindStep(step, () => {
    ports ??= notifyPorts(step.name)
    return ports
  })
}

function notifyPorts(step: string): NotifyPorts {
  const base = portsFromEnvironment(step)
  const { clock, fleet } = base
  const { slack, github } = fleet.notifications
  const topicArn = required('NOTIFICATION_TOPIC_ARN', process.env.NOTIFICATION_TOPIC_ARN)
  const unlocks = required('UNLOCK_EXECUTIONS', process.env.UNLOCK_EXECUTIONS)
  const secrets = new SecretsProvider({ awsSdkV3Client: new SecretsManagerClient({ ...limitsInSteps }) })
  const secret = <Schema extends z.ZodType>(name: string, schema: Schema) => {
    const id = required(name, process.env[name])
    return () => readSecret(secrets, id, schema)
  }
  return {
    ...base,
    channels: [
      new SnsMessages({ client: new SNSClient({ ...limitsInSteps }), topicArn }),
      ...(slack
        ? [new SlackMessages({ secret: secret('SLACK_SECRET', slackSecretSchema), channel: slack.channel, clock })]
        : []),
    ],
    ...(github && { statuses: new GitHubStatuses({ secret: secret('GITHUB_SECRET', gitHubSecretSchema), clock }) }),
    linkOf: consoleLink,
    unlockArn: (unlock) => `${unlocks}${unlock}`,
  }
}

/** A new secret is good five minutes after it was stored. What zod says of it would quote it. */
async function readSecret<Schema extends z.ZodType>(
  secrets: SecretsProvider,
  id: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  const value = await secrets.get(id, { maxAge: 300, transform: 'json' }).catch((error: unknown) => {
    throw new SecretUnreadable(id, error instanceof Error ? error.name : 'unknown error')
  })
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new SecretUnreadable(id, 'it does not have the fields that it must have')
  return parsed.data
}
