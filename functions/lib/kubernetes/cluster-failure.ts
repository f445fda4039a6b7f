import * as z from 'zod'
import { blotted } from '../blotted.ts'
import { ClusterError, type ClusterErrorName } from './cluster.ts'

/** What was asked of which cluster, in words: `PATCH Kustomization/flux-system/app`. */
export interface Asked {
  readonly cluster: string
  /** Where it was asked: the API server's URL. */
  readonly server: string
  readonly what: string
  /** Whether one object was asked for, not a kind. */
  readonly object: boolean
  readonly jsonPatch: boolean
}

/** An answer that is not a success. */
export interface Refusal {
  readonly code: number
  /** The body as text; a Status object for almost all refusals of an API server, anything for those of a proxy. */
  readonly body: string
  readonly retryAfterSeconds?: string | undefined
}

const statusSchema = z.object({
  kind: z.literal('Status'),
  message: z.string().optional(),
  reason: z.string().optional(),
  details: z
    .object({ causes: z.array(z.object({ field: z.string().optional() })).optional() })
    .nullish()
    .catch(undefined),
})

type Status = z.infer<typeof statusSchema>

const nextSteps: Record<ClusterErrorName, string> = {
  ClusterUnauthorized:
    'The cluster does not know the credentials: check the access entry of the role (or the user in the kubeconfig).',
  ClusterForbidden:
    'The credentials lack this permission: apply infra/cluster, and infra/cluster/unlock for unlocks (kubectl apply -k), and see that they come in as group lockstep, for locks and plans lockstep-locks too, and for unlocks lockstep-unlock (EKS: by an access entry).',
  ClusterNotFound: 'The object does not exist: it was deleted or renamed.',
  KindNotServed: 'The API server does not serve this kind: install its CRD, or the controller that brings it.',
  ClusterConflict: 'The object has changed since it was read: read it again and decide anew.',
  AlreadyExists: 'There is an object of that name: read it, and see whether it is the one that was to be made.',
  ClusterGone: 'The history that was asked for is gone: list again.',
  PatchTestFailed: 'The object is not as it was expected to be: read it again and decide anew.',
  ClusterRejected: 'The API server does not accept the request: compare the versions of the CRD and of Lockstep.',
  ClusterThrottled: 'The API server is busy: try again later.',
  ClusterUnavailable: "Check that the cluster's API server is up and can be reached from here, then try again.",
}

/** The ClusterError for an answer that is not a success. */
export function refused(asked: Asked, { code, body, retryAfterSeconds }: Refusal): ClusterError {
  const status = statusOf(body)
  const name = nameOf(asked, code, status)
  const seconds = Number(retryAfterSeconds ?? Number.NaN)
  // Whoever is not known here may have come to the wrong door.
  const by = code === 401 ? ` by ${asked.server}` : ''
  return new ClusterError(
    name,
    asked.cluster,
    code,
    `${asked.cluster}: ${asked.what} was answered with ${code}${by}${said(code, status)}.`,
    nextSteps[name],
    { retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined },
  )
}

/**
 * The ClusterError for a 403 of an API server that does not even tell whether it is ready, which every user may ask of one
 * that has started: it can pass. Or it refuses all that this user asks, such as to be somebody else.
 */
export function refusedAltogether(asked: Asked, body: string): ClusterError {
  const { message, next } = refused(asked, { code: 403, body })
  const also = 'Nor does it tell whether it is ready: it may still be starting.'
  return new ClusterError('ClusterUnavailable', asked.cluster, 403, `${message} ${also}`, next)
}

/** The ClusterError where there was no answer, or none that can be read. */
export function unavailable(asked: Asked, why: string, next = nextSteps.ClusterUnavailable): ClusterError {
  const message = `${asked.cluster}: ${asked.what} ${why} (${asked.server}).`
  return new ClusterError('ClusterUnavailable', asked.cluster, 0, message, next)
}

/** What Node and OpenSSL call certificates that they refuse: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const distrust = /^(CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_|ERR_TLS_CERT_)/
/** TLS that was not spoken, or broken off by the other side. */
const noTls = /^(EPROTO|ERR_SSL_|ERR_TLS_)/

/** The ClusterError where the network failed; `code` is Node's, such as ECONNREFUSED. */
export function noAnswer(asked: Asked, code: string): ClusterError {
  const why = `failed with ${code}`
  if (distrust.test(code)) return unavailable(asked, why, untrusted)
  return unavailable(asked, why, noTls.test(code) ? notTls : undefined)
}

const untrusted =
  "The API server's certificate is not one that is trusted: check the URL and the cluster's certificate authority (certificate-authority-data in a kubeconfig)."
const notTls = 'No TLS connection came about: check that the URL is that of an API server, and the client certificate.'

/** The ClusterError where no credentials could be had to ask with. */
export function withoutCredentials(asked: Asked, why: string): ClusterError {
  return new ClusterError(
    'ClusterUnauthorized',
    asked.cluster,
    0,
    `${asked.cluster}: ${asked.what} was not sent, because its credentials could not be made (${why}).`,
    'Check the user of this cluster: run its credential command by hand, or look at its files.',
  )
}

function nameOf({ object, jsonPatch }: Asked, code: number, status: Status | undefined): ClusterErrorName {
  if (code === 401) return 'ClusterUnauthorized'
  if (code === 403) return 'ClusterForbidden'
  // A path that is not served is answered in plain text, a missing object with a Status.
  if (code === 404) return object && status ? 'ClusterNotFound' : 'KindNotServed'
  if (code === 409) return status?.reason === 'AlreadyExists' ? 'AlreadyExists' : 'ClusterConflict'
  if (code === 410) return 'ClusterGone'
  if (code === 429) return 'ClusterThrottled'
  // A patch that cannot be applied has no causes; an object that fails validation after the patch has.
  if (code === 422 && jsonPatch && !status?.details?.causes?.length) return 'PatchTestFailed'
  if (code >= 400 && code < 500) return 'ClusterRejected'
  return 'ClusterUnavailable'
}

/** The server's own words, except where they repeat values of the object that was sent. */
function said(code: number, status: Status | undefined): string {
  if (!status) return ''
  if (code !== 422) return status.message ? `: ${plain(status.message)}` : ''
  const fields = (status.details?.causes ?? []).flatMap(({ field }) => (field ? [plain(field)] : []))
  return fields.length > 0 ? ` (${fields.join(', ')})` : ''
}

function plain(text: string): string {
  const printable = blotted(text.slice(0, 2_000).replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ')).trim()
  return printable.length > 500 ? `${printable.slice(0, 500)}…` : printable.replace(/\.$/, '')
}

function statusOf(body: string): Status | undefined {
  try {
    return statusSchema.safeParse(JSON.parse(body)).data
  } catch {
    return undefined
  }
}
