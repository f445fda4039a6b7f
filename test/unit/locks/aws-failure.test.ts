import { describe, expect, it } from 'vitest'
import { awsFailure } from '../../../functions/lib/locks/stores/aws-failure.ts'

const asked = { store: 'S3 bucket states', permission: 's3:GetObject', on: 'arn:aws:s3:::states/app.tflock' }

function failed(name: string, httpStatusCode?: number, code?: string): unknown {
  return Object.assign(new Error('a secret'), { name, $metadata: { httpStatusCode }, ...(code && { code }) })
}

describe('what AWS answers', () => {
  it.each([
    ['ProvisionedThroughputExceededException', 400, 'LockStoreThrottled'],
    ['ThrottlingException', 400, 'LockStoreThrottled'],
    ['SlowDown', 503, 'LockStoreThrottled'],
    ['AccessDenied', 403, 'LockStoreForbidden'],
    ['AccessDeniedException', 400, 'LockStoreForbidden'],
    ['ExpiredToken', 400, 'LockStoreForbidden'],
    ['CredentialsProviderError', undefined, 'LockStoreForbidden'],
    ['NoSuchBucket', 404, 'LockStoreMissing'],
    ['ResourceNotFoundException', 400, 'LockStoreMissing'],
    ['PermanentRedirect', 301, 'LockStoreMissing'],
    ['InternalServerError', 500, 'LockStoreUnavailable'],
    ['ServiceUnavailable', 503, 'LockStoreUnavailable'],
    ['TimeoutError', undefined, 'LockStoreUnavailable'],
    ['ValidationException', 400, 'LockStoreRejected'],
    ['TypeError', undefined, 'LockStoreRejected'],
  ])('%s (%s) is %s', (name, status, expected) => {
    expect(awsFailure(asked, failed(name, status))).toMatchObject({ name: expected, store: asked.store })
  })

  it('a connection that breaks is LockStoreUnavailable', () => {
    expect(awsFailure(asked, failed('Error', undefined, 'ECONNREFUSED'))).toMatchObject({
      name: 'LockStoreUnavailable',
      message: expect.stringContaining('(Error, ECONNREFUSED)'),
    })
  })

  it('a refusal names the permission and what it must be on', () => {
    const { message } = awsFailure(asked, failed('AccessDenied', 403))
    expect(message).toMatch(/^S3 bucket states: s3:GetObject was refused \(AccessDenied\)/)
    expect(message).toContain('Give this role s3:GetObject on arn:aws:s3:::states/app.tflock')
  })

  it('comes without the client’s words and without its error', () => {
    const error = awsFailure(asked, failed('AccessDenied', 403))
    expect(error.message).not.toContain('secret')
    expect(error.cause).toBeUndefined()
  })

  it.each([undefined, null, 'text', 7, {}])('may be anything, %j too', (thrown) => {
    expect(awsFailure(asked, thrown)).toMatchObject({ name: 'LockStoreRejected' })
  })
})
