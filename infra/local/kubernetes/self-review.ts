import * as z from 'zod'
import type { Access, Subresource, Verb } from './api-request.ts'
import { ApiError } from './api-status.ts'

export interface SelfReviewOptions {
  readonly user: string
  /** Default: a user may do everything. */
  readonly authorize: ((user: string, access: Access) => boolean) | undefined
}

const paths = {
  access: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
  user: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
}

const accessReviewSchema = z.object({
  apiVersion: z.literal('authorization.k8s.io/v1'),
  kind: z.literal('SelfSubjectAccessReview'),
  spec: z.object({
    resourceAttributes: z.object({
      verb: z.string().min(1),
      group: z.string().default(''),
      resource: z.string().min(1),
      subresource: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
    }),
  }),
})

export function isSelfReview(method: string | undefined, path: string): boolean {
  return method === 'POST' && Object.values(paths).includes(path)
}

/** What the API server tells users about themselves: who they are, and whether they may do something. */
export function selfReview(path: string, body: string, options: SelfReviewOptions): object {
  return path === paths.user ? userReview(options) : accessReview(body, options)
}

function userReview({ user }: SelfReviewOptions): object {
  const userInfo = { username: user, groups: ['system:authenticated'] }
  return { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview', status: { userInfo } }
}

function accessReview(body: string, { user, authorize = () => true }: SelfReviewOptions): object {
  const review = accessReviewSchema.safeParse(jsonOf(body))
  if (!review.success) throw new ApiError(400, 'BadRequest', 'the object provided is no SelfSubjectAccessReview')
  const { verb, group, resource: plural, subresource, namespace, name } = review.data.spec.resourceAttributes
  const allowed = authorize(user, {
    verb: verb.toUpperCase() as Verb,
    // What is asked about need not exist.
    resource: { group, plural, version: '', kind: '' },
    namespace,
    name,
    subresource: subresource as Subresource | undefined,
  })
  return { ...review.data, status: { allowed } }
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
