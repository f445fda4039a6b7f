import { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { ExecutionAlreadyExists, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { required } from '../lib/environment.ts'
import { powertoolsLog } from '../lib/powertools-log.ts'
import type { Push } from '../lib/push.ts'
import { limitsWhileSomebodyWaits } from '../lib/request-limits.ts'
import { type Secrets, secretsSchema } from '../lib/rotating-secret.ts'
import type { Repositories } from './delivery.ts'
import { webhook } from './webhook.ts'

const states = new SFNClient({ ...limitsWhileSomebodyWaits })
const provider = new SecretsProvider({ awsSdkV3Client: new SecretsManagerClient({ ...limitsWhileSomebodyWaits }) })

// Read when the function is loaded, not at the first request: Lambda gives more CPU for that. Environment:
// WEBHOOK_SECRET_ARN, FLEET_STATE_MACHINE_ARN; LOCKSTEP_REPOSITORIES is put into the bundle when it is built, from
// a fleet that was checked then: to check it again takes a fifth of the time that it takes to load this function.
const secretArn = required('WEBHOOK_SECRET_ARN', process.env.WEBHOOK_SECRET_ARN)
const stateMachineArn = required('FLEET_STATE_MACHINE_ARN', process.env.FLEET_STATE_MACHINE_ARN)
const repositories: Repositories['repositories'] = JSON.parse(
  required('LOCKSTEP_REPOSITORIES', process.env.LOCKSTEP_REPOSITORIES),
)

export const handler = webhook({
  fleet: { repositories },
  secrets,
  start,
  log: powertoolsLog('lockstep-webhook'),
})

async function secrets(): Promise<Secrets> {
  // A new secret is good five minutes after it was stored.
  return secretsSchema.parse(await provider.get(secretArn, { maxAge: 300, transform: 'json' }))
}

async function start(name: string, input: Push): Promise<'started' | 'exists'> {
  try {
    await states.send(new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }))
    return 'started'
  } catch (error) {
    if (error instanceof ExecutionAlreadyExists) return 'exists'
    throw error
  }
}
