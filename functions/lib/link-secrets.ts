import { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { type Secrets, secretsSchema } from './rotating-secret.ts'

/** A request that hangs is given up and tried again. */
const requestHandler = { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true }

/** What links are signed with, from Secrets Manager: `{"current": …, "previous": …}`. */
export function linkSecretsFrom(secretArn: string): () => Promise<Secrets> {
  const provider = new SecretsProvider({ awsSdkV3Client: new SecretsManagerClient({ maxAttempts: 2, requestHandler }) })
  // A new secret is good five minutes after it was stored.
  return async () => secretsSchema.parse(await provider.get(secretArn, { maxAge: 300, transform: 'json' }))
}
