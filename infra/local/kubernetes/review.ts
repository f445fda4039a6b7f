import * as z from 'zod'
import type { Access, Subresource, Verb } from './api-request.ts'
import { ApiError } from './api-status.ts'

/** Whether somebody may do something. `groups` are those of somebody else who is asked about. */
export type Authorize = (user: string, access: Access, groups?: readonly string[]) => boolean

export interface ReviewOptions {
  readonly user: string
  /** Default: a user may do everything. */
  readonly authorize: Authorize | undefined
}

const group = 'authorization.k8s.io'
const paths = {
  ofSelf: `/apis/${group}/v1/selfsubjectaccessreviews`,
  ofOthers: `/apis/${group}/v1/subjectaccessreviews`,
  user: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
}

const accessReviewSchema = z.object({
  apiVersion: z.literal(`${group}/v1`),
  kind: z.enum(['SelfSubjectAccessReview', 'SubjectAccessReview']),
  spec: z.object({
    user: z.string().optional(),
    groups: z.array(z.string()).optional(),
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

export function isReview(method: string | undefined, path: string): boolean {
  return method === 'POST' && Object.values(paths).includes(path)
}

/**
 * What the API server tells users about themselves: who they are, and whether they may do something. Whether others may
 * is told to whoever may create a SubjectAccessReview.
 */
export function review(path: string, body: string, options: ReviewOptions): object {
  return path === paths.user ? userReview(options) : accessReview(path, body, options)
}

function userReview({ user }: ReviewOptions): object {
  const userInfo = { username: user, groups: ['system:authenticated'] }
  return { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview', status: { userInfo } }
}

function accessReview(path: string, body: string, { user, authorize = () => true }: ReviewOptions): object {
  const parsed = accessReviewSchema.safeParse(jsonOf(body))
  const kind = path === paths.ofSelf ? 'SelfSubjectAccessReview' : 'SubjectAccessReview'
  if (parsed.data?.kind !== kind) throw new ApiError(400, 'BadRequest', `the object provided is no ${kind}`)
  const { resourceAttributes, user: other = '', groups } = parsed.data.spec
  const asked = accessOf(resourceAttributes)
  if (path === paths.ofSelf) return { ...parsed.data, status: { allowed: authorize(user, asked) } }
  if (!authorize(user, accessOf({ verb: 'create', group, resource: 'subjectaccessreviews' })))
    throw new ApiError(403, 'Forbidden', `User "${user}" cannot create resource "subjectaccessreviews"`)
  if (other === '' && !groups?.length) throw new ApiError(422, 'Invalid', 'at least one of user or group is required')
  return { ...parsed.data, status: { allowed: authorize(other, asked, groups ?? []) } }
}

type Attributes = z.infer<typeof accessReviewSchema>['spec']['resourceAttributes']

function accessOf({ verb, group, resource: plural, subresource, namespace, name }: Attributes): Access {
  return {
    verb: verb.toUpperCase() as Verb,
    // What is asked about need not exist.
    resource: { group, plural, version: '', kind: '' },
    ...{ namespace, name, subresource: subresource as Subresource | undefined },
  }
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
