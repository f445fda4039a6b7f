import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import type { Clock } from '../clock.ts'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

export interface EksTokenOptions {
  readonly clock: Clock
  /** The cluster's name in EKS. */
  readonly eks: string
  readonly region: string
  readonly credentials: () => Promise<AwsCredentials>
}

/** EKS takes a token for 15 minutes from its date on; a new one is made well before. */
const freshMs = 10 * 60_000
/** A token lives no longer than the credentials that signed it. */
const beforeExpiryMs = 60_000

/**
 * Bearer tokens for one EKS cluster: `k8s-aws-v1.` and a presigned GetCallerIdentity request, which the cluster sends
 * to STS to learn who it is talking to. Made here, without a call to AWS, and kept until it is 10 minutes old.
 * https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
 */
export class EksToken {
  private readonly options: EksTokenOptions
  private token: Promise<string> | undefined
  private freshUntil = 0

  constructor(options: EksTokenOptions) {
    this.options = options
  }

  /** The token for a request that is sent now. Rejects with what the credentials' provider rejects with. */
  async current(): Promise<string> {
    const now = this.options.clock.now()
    if (this.token && now < this.freshUntil) return this.token
    this.freshUntil = now + freshMs
    const token = this.make(now)
    this.token = token
    token.catch(() => {
      if (this.token === token) this.token = undefined
    })
    return token
  }

  private async make(now: number): Promise<string> {
    const { eks, region } = this.options
    const credentials = await this.options.credentials()
    const expiry = credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY
    this.freshUntil = Math.min(this.freshUntil, expiry - beforeExpiryMs)
    const hostname = stsHost(region)
    const signer = new SignatureV4({ service: 'sts', region, credentials, sha256: Sha256 })
    const request = {
      method: 'GET',
      protocol: 'https:',
      hostname,
      path: '/',
      query: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
      headers: { host: hostname, 'x-k8s-aws-id': eks },
    }
    const { query = {} } = await signer.presign(request, { expiresIn: 60, signingDate: new Date(now) })
    const parameters = Object.entries(query).map(
      ([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(`${value}`)}`,
    )
    return `k8s-aws-v1.${Buffer.from(`https://${hostname}/?${parameters.join('&')}`).toString('base64url')}`
  }
}

/** DNS suffixes by the beginning of a region's name, where it is not amazonaws.com. */
const suffixes: readonly (readonly [string, string])[] = [
  ['cn-', 'amazonaws.com.cn'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['us-iso-', 'c2s.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
  ['eusc-', 'amazonaws.eu'],
]

/** The regional STS endpoint: tokens signed for another region's are refused where the global one is switched off. */
export function stsHost(region: string): string {
  const suffix = suffixes.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com'
  return `sts.${region}.${suffix}`
}
