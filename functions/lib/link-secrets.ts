import { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { limitsWhileSomebodyWaits } from './request-limits.ts'
import { type Secrets, secretsSchema } from './rotating-secret.ts'

/** What links are signed with, from Secrets Manager: `{"current": …, "previous": …}`. */
export function linkSecretsFrom(secretArn: string): () => Promise<Secrets> {
  const provider = new SecretsProvider({ awsSdkV3Client: new SecretsManagerClient({ ...limitsWhileSomebodyWaits }) })
  // A new secret is good five minutes after it was stored.
  return async () => secretsSchema.parse(await provider.get(secretArn, { maxAge: 300, transform: 'json' }))
}
