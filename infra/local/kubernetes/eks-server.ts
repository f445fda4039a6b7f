import { createHash, createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { Clock } from '../../../functions/lib/clock.ts'
import { stsHost } from '../../../functions/lib/kubernetes/eks-token.ts'
import { listenOnLoopback } from '../loopback.ts'
import { type Activity, noActivity } from '../virtual-clock.ts'

export interface EksServerCluster {
  /** Its name in EKS. */
  readonly name: string
  /** Default ACTIVE. */
  readonly status?: string
  readonly endpoint: string
  /** Base64 of a PEM file; may be empty for an http endpoint. */
  readonly certificateAuthority?: string
}

export interface EksServer {
  /** Endpoint for @aws-sdk/client-eks. */
  readonly url: string
  /** What is described; may be changed at any time. */
  readonly clusters: EksServerCluster[]
  close(): Promise<void>
}

/** EKS as far as Lockstep asks it: DescribeCluster, as @aws-sdk/client-eks sends it. Signatures are not checked. */
export async function startEksServer(
  clusters: readonly EksServerCluster[],
  { port = 0, activity = noActivity }: { port?: number; activity?: Activity } = {},
): Promise<EksServer> {
  const known = [...clusters]
  const server = createServer((message, response) => {
    response.on('close', activity.begin())
    const name = decodeURIComponent(/^\/clusters\/([^/?]+)$/.exec(message.url ?? '')?.[1] ?? '')
    const cluster = message.method === 'GET' ? known.find((candidate) => candidate.name === name) : undefined
    response.setHeader('content-type', 'application/json')
    if (cluster) {
      response.end(JSON.stringify({ cluster: described(cluster) }))
      return
    }
    response.writeHead(404, { 'x-amzn-errortype': 'ResourceNotFoundException' })
    response.end(JSON.stringify({ clusterName: name, message: `No cluster found for name: ${name}.` }))
  })
  return { clusters: known, ...(await listenOnLoopback(server, port)) }
}

function described({ name, status = 'ACTIVE', endpoint, certificateAuthority = '' }: EksServerCluster): object {
  return { name, status, endpoint, certificateAuthority: { data: certificateAuthority } }
}

export interface TokenCheck {
  readonly clock: Clock
  /** The cluster's name in EKS. */
  readonly eks: string
  readonly region: string
  /** The secrets of known access keys: with it the signature is checked as STS would, without it it is not. */
  readonly secretOf?: (accessKeyId: string) => string | undefined
}

const prefix = 'k8s-aws-v1.'
const longestToken = 4096
/** From its date on, whatever X-Amz-Expires says. */
const tokenLifeMs = 15 * 60_000
/** How far a token's date may lie ahead of the server's clock. */
const skewMs = 5 * 60_000

/**
 * The user that an EKS token stands for (`aws:<access key id>`), or undefined when EKS would not take it: another
 * host or action, a header that is not signed, or too old. Without `secretOf` the signature is NOT checked, and with
 * it neither is the cluster that the token was made for: its name is in the signature only.
 */
export function verifyToken(token: string, check: TokenCheck): string | undefined {
  const url = urlIn(token)
  if (url?.protocol !== 'https:' || url.host !== stsHost(check.region) || url.pathname !== '/') return undefined
  const read = (name: string) => (url.searchParams.getAll(name).length === 1 ? (url.searchParams.get(name) ?? '') : '')
  if (read('Action') !== 'GetCallerIdentity' || read('Version') !== '2011-06-15') return undefined
  if (read('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256' || !/^[0-9a-f]{64}$/.test(read('X-Amz-Signature')))
    return undefined
  if (read('X-Amz-SignedHeaders') !== signedHeaders) return undefined
  const date = read('X-Amz-Date')
  const age = check.clock.now() - timeOf(date)
  if (!(age >= -skewMs && age < tokenLifeMs)) return undefined
  const [accessKeyId = '', ...scope] = read('X-Amz-Credential').split('/')
  if (accessKeyId === '' || scope.join('/') !== `${date.slice(0, 8)}/${check.region}/sts/aws4_request`) return undefined
  if (!check.secretOf) return `aws:${accessKeyId}`
  const secret = check.secretOf(accessKeyId)
  if (secret === undefined || signatureOf(url, date, check, secret) !== read('X-Amz-Signature')) return undefined
  return `aws:${accessKeyId}`
}

const signedHeaders = 'host;x-k8s-aws-id'

function urlIn(token: string): URL | null {
  const encoded = token.slice(prefix.length)
  if (!token.startsWith(prefix) || token.length > longestToken || !/^[A-Za-z0-9_-]+$/.test(encoded)) return null
  return URL.parse(Buffer.from(encoded, 'base64url').toString())
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function signatureOf(url: URL, date: string, { eks, region }: TokenCheck, secret: string): string {
  const query = [...url.searchParams]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join('&')
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const canonical = ['GET', '/', query, `host:${url.host}`, `x-k8s-aws-id:${eks}`, '', signedHeaders, sha256('')].join(
    '\n',
  )
  const scope = [date.slice(0, 8), region, 'sts', 'aws4_request']
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${secret}`)
  return hmac(key, ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')).toString('hex')
}

/** Milliseconds since the epoch of `20260105T090000Z`; NaN for anything else. */
function timeOf(text: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}
