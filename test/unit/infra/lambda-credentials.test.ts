import { afterEach, expect, it, vi } from 'vitest'
import { defaultProvider } from '../../../infra/aws/lambda-credentials.ts'

afterEach(() => vi.unstubAllEnvs())

it('gives the credentials of the function’s role', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'id')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'key')
  vi.stubEnv('AWS_SESSION_TOKEN', 'token')
  expect(await defaultProvider()()).toEqual({ accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' })
})

it('says so where there are none', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'id')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'key')
  vi.stubEnv('AWS_SESSION_TOKEN', undefined)
  await expect(defaultProvider()()).rejects.toThrow('not in the environment')
})
