import { Validations } from 'aws-cdk-lib'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import type { Construct } from 'constructs'

/**
 * A secret that something is signed with, made by AWS: `{"current": …, "previous": …}`, of which both are good while a person
 * rotates it. `unrotated` says why AWS does not do that by itself.
 */
export function signingSecret(
  scope: Construct,
  { of, unrotated }: { readonly of: string; readonly unrotated: string },
): Secret {
  const secret = new Secret(scope, 'Secret', {
    description: `Lockstep: {"current": …, "previous": …} secrets ${of}`,
    generateSecretString: {
      secretStringTemplate: '{}',
      generateStringKey: 'current',
      passwordLength: 48,
      excludePunctuation: true,
    },
  })
  Validations.of(secret).acknowledge(
    { id: 'AwsSolutions-SMG4', reason: unrotated },
    { id: 'NIST.800.53.R5-SecretsManagerRotationEnabled', reason: unrotated },
    {
      id: 'NIST.800.53.R5-SecretsManagerUsingKMSKey',
      reason: 'It is encrypted with the key of Secrets Manager, and read by one or two roles of this account only.',
    },
  )
  return secret
}
