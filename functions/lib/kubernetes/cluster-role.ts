import { AssumeRoleCommand, type STSClient } from '@aws-sdk/client-sts'
import * as z from 'zod'
import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import { ClusterError } from './cluster.ts'
import type { AwsCredentials } from './eks-token.ts'

export interface ClusterRoleOptions {
  readonly clock: Clock
  readonly sts: STSClient
  readonly arn: string
  /** Of whoever takes on the role: it is part of the user's name in the audit log of a cluster. */
  readonly sessionName: string
  /** What a role in another account asks for besides. */
  readonly externalId?: string | undefined
}

/** A role's session may not last longer where a role, such as a function's, takes on another one. */
const sessionSeconds = 3600
/** A token that is signed now is good for 15 minutes, and its credentials have to be as well. */
const renewedBeforeMs = 20 * 60_000
/** What is left for requests that are under way. */
const usableBeforeMs = 60_000

const answerSchema = z.object({
  Credentials: z.object({
    AccessKeyId: z.string().min(1),
    SecretAccessKey: z.string().min(1),
    SessionToken: z.string().min(1),
    Expiration: z.date(),
  }),
})

/**
 * The credentials of a role that knows clusters, taken on by this function's own role. They are kept, and renewed well before
 * they expire; while they cannot be renewed, the old ones are used for as long as they are good.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html ("Role chaining": one hour at most)
 */
export class ClusterRole {
  private readonly options: ClusterRoleOptions
  private held: (AwsCredentials & { readonly expiration: Date }) | undefined
  private renewal: Promise<AwsCredentials> | undefined

  constructor(options: ClusterRoleOptions) {
    this.options = options
  }

  /**
   * Credentials for a request to `cluster` that is sent now. Throws ClusterRoleRefused where AWS says no, and
   * ClusterUnavailable where it cannot be asked just now.
   */
  async credentials(cluster: string): Promise<AwsCredentials> {
    if (this.held && this.leftMs(this.held) > renewedBeforeMs) return this.held
    this.renewal ??= this.takeOn().finally(() => {
      this.renewal = undefined
    })
    try {
      return await this.renewal
    } catch (error) {
      if (this.held && this.leftMs(this.held) > usableBeforeMs) return this.held
      throw this.failure(cluster, error instanceof Error ? error : new Error('unknown error'))
    }
  }

  private leftMs({ expiration }: { readonly expiration: Date }): number {
    return expiration.getTime() - this.options.clock.now()
  }

  private async takeOn(): Promise<AwsCredentials> {
    const { sts, arn, sessionName, externalId } = this.options
    const answer = await sts.send(
      new AssumeRoleCommand({
        ...{ RoleArn: arn, RoleSessionName: sessionName, DurationSeconds: sessionSeconds },
        ...(externalId !== undefined && { ExternalId: externalId }),
      }),
    )
    // What is wrong with it is not told: it holds a secret.
    const { success, data } = answerSchema.safeParse(answer)
    if (!success) throw new Error('credentials are missing in the answer')
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = data.Credentials
    this.held = {
      ...{ accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey },
      ...{ sessionToken: SessionToken, expiration: Expiration },
    }
    return this.held
  }

  private failure(cluster: string, error: Error): LockstepError {
    const { arn, sessionName } = this.options
    if (refusals.has(error.name)) {
      return new LockstepError(
        'ClusterRoleRefused',
        `${cluster}: AWS does not let "${sessionName}" take on the role ${arn} (${error.name}).`,
        'Deploy all stacks again; in another account the role has to ask for the "externalId" that the fleet has.',
      )
    }
    return new ClusterError(
      'ClusterUnavailable',
      cluster,
      0,
      `${cluster}: AWS could not give credentials of the role ${arn} (${error.name}).`,
      'Try again; check that STS can be reached from here.',
    )
  }
}

const refusals: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidClientTokenId',
  'SignatureDoesNotMatch',
  'RegionDisabledException',
  'ValidationError',
  'CredentialsProviderError',
])

/** The role of the same name in another account: `arn:aws:iam::<account>:role/<name>`. */
export function roleIn(account: string | undefined, arn: string): string {
  return account === undefined ? arn : arn.replace(/^(arn:[^:]+:iam::)\d+:/, `$1${account}:`)
}
