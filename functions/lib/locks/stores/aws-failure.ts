import * as z from 'zod'
import { LockStoreError } from './lock-store.ts'

/** What was asked of which store on AWS. */
export interface AwsRequest {
  /** The store's name. */
  readonly store: string
  /** The operation that is called and the permission that it takes: `dynamodb:Scan`. */
  readonly permission: string
  /** The ARN that the permission must be on. */
  readonly on: string
}

const failureSchema = z.object({
  name: z.string().catch('unknown error'),
  /** Node's, where there was no answer. */
  code: z.string().optional().catch(undefined),
  $metadata: z.object({ httpStatusCode: z.number().optional() }).catch({}),
})

const throttles = new Set([
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'SlowDown',
  'ThrottlingException',
  'TooManyRequestsException',
])
const noCredentials = new Set([
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
])
const missing = new Set(['NoSuchBucket', 'ResourceNotFoundException'])
/** S3 for a bucket that is in another region. */
const elsewhere = new Set(['AuthorizationHeaderMalformed', 'IllegalLocationConstraintException', 'PermanentRedirect'])
const passing = new Set(['InternalServerError', 'RequestTimeout', 'ServiceUnavailable', 'TimeoutError'])

/**
 * The LockStoreError for what an AWS client threw. Neither the client's message nor the error itself comes along: both
 * may carry parts of what was sent or answered.
 */
export function awsFailure({ store, permission, on }: AwsRequest, error: unknown): LockStoreError {
  const { name, code, $metadata } = failureSchema.catch({ name: 'unknown error', $metadata: {} }).parse(error)
  const status = $metadata.httpStatusCode ?? 0
  const why = code === undefined || code === name ? name : `${name}, ${code}`
  const failed = (as: LockStoreError['name'], what: string, next: string) =>
    new LockStoreError(as, store, `${permission} ${what} (${why}).`, next)

  if (throttles.has(name) || status === 429) return failed('LockStoreThrottled', 'was throttled', 'Try again later.')
  if (noCredentials.has(name)) {
    return failed('LockStoreForbidden', 'was not let in', `Refresh the credentials; they need ${permission} on ${on}.`)
  }
  if (status === 403 || name.startsWith('AccessDenied')) {
    const key = 'and on the KMS key, if there is one, what reading and writing need'
    return failed('LockStoreForbidden', 'was refused', `Give this role ${permission} on ${on}, ${key}.`)
  }
  if (missing.has(name)) return failed('LockStoreMissing', 'found nothing of that name', nextIfMissing)
  if (elsewhere.has(name) || status === 301)
    return failed('LockStoreMissing', 'found it in another region', nextIfMissing)
  if (passing.has(name) || status >= 500 || isBrokenConnection(code, name)) {
    return failed('LockStoreUnavailable', 'was not answered', 'Try again; check that it can be reached from here.')
  }
  return failed(
    'LockStoreRejected',
    `was answered with ${status || 'no status'}`,
    'Compare the request with the table or bucket.',
  )
}

const nextIfMissing = 'Correct the name and the region in the fleet, or check the account.'

function isBrokenConnection(code: string | undefined, name: string): boolean {
  return /^(ECONN|EPIPE|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|ERR_TLS|CERT_)/.test(code ?? name)
}
