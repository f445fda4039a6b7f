import { DescribeClusterCommand, EKSClient } from '@aws-sdk/client-eks'
import { STSClient } from '@aws-sdk/client-sts'
import { KubeConfig } from '@kubernetes/client-node'
import * as z from 'zod'
import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import { limitsInSteps } from '../request-limits.ts'
import { type Cluster, ClusterError } from './cluster.ts'
import type { ClusterAccess } from './cluster-access.ts'
import { ClusterRole, roleIn } from './cluster-role.ts'
import { type AwsCredentials, EksToken } from './eks-token.ts'
import { KubernetesClient } from './kubernetes-client.ts'

/** A cluster of the fleet: its name in Lockstep, its name in EKS, its region, and its account if it is not our own. */
export interface FleetCluster {
  readonly name: string
  readonly eks: string
  readonly region: string
  readonly account?: string | undefined
  readonly externalId?: string | undefined
}

export interface EksClustersOptions {
  readonly clock: Clock
  readonly fleet: { readonly clusters: readonly FleetCluster[] }
  /**
   * The role that clusters know, and the name to take it on under. In another account it is the role of the same name there.
   * Without it clusters are reached with the credentials that the EKS client has by itself.
   */
  readonly role?: { readonly arn: string; readonly sessionName: string }
  /** Makes the EKS client of a region, with the credentials of the role if there is one. Default: the SDK's. */
  readonly eksClient?: (region: string, own?: { readonly credentials: () => Promise<AwsCredentials> }) => EKSClient
  /** Default: that of the SDK, in the function's region, with the function's own credentials. */
  readonly stsClient?: () => STSClient
}

/** How long what DescribeCluster said is believed: a cluster that was made anew has another endpoint and CA. */
const describedMs = 10 * 60_000

const describeSchema = z.object({
  cluster: z.object({
    status: z.string(),
    endpoint: z.string().optional(),
    certificateAuthority: z.object({ data: z.string().optional() }).optional(),
  }),
})

/** Clusters in these states answer requests. */
const serving: ReadonlySet<string> = new Set(['ACTIVE', 'UPDATING'])

/**
 * Access to the fleet's EKS clusters with the credentials of one role in each account. `connect` throws ClusterNotInFleet,
 * ClusterRoleRefused, EksClusterNotFound, EksClusterNotActive, EksAccessDenied, EksAnswerUnreadable, and
 * ClusterUnavailable where AWS cannot be asked just now.
 */
export function eksClusters(options: EksClustersOptions): ClusterAccess {
  const { clock, fleet } = options
  const doorOf = doorsOf(options)
  const connections = new Map<string, { readonly until: number; readonly cluster: Promise<Cluster> }>()

  return {
    connect(name) {
      const known = connections.get(name)
      if (known && clock.now() < known.until) return known.cluster
      const cluster = connectTo(name, fleet.clusters, doorOf, clock)
      connections.set(name, { until: clock.now() + describedMs, cluster })
      cluster.catch(() => {
        if (connections.get(name)?.cluster === cluster) connections.delete(name)
      })
      return cluster
    },
  }
}

/** How one cluster is asked for: the EKS of its region, and whose credentials its tokens are signed with. */
interface Door {
  readonly client: EKSClient
  readonly credentials: () => Promise<AwsCredentials>
}

/** Each cluster's door, and one role for all clusters of an account: every role makes a session of its own. */
function doorsOf({ clock, role, eksClient, stsClient }: EksClustersOptions): (target: FleetCluster) => Door {
  const newEks = eksClient ?? ((region, own) => new EKSClient({ region, ...limitsInSteps, ...own }))
  const newSts = stsClient ?? (() => new STSClient({ ...limitsInSteps }))
  const roles = new Map<string, ClusterRole>()
  const doors = new Map<string, Door>()
  const open = ({ name, region, account, externalId }: FleetCluster): Door => {
    if (!role) {
      const client = newEks(region)
      return { client, credentials: () => client.config.credentials() }
    }
    const arn = roleIn(account, role.arn)
    const taken = kept(roles, arn, () => new ClusterRole({ ...role, clock, sts: newSts(), arn, externalId }))
    const credentials = () => taken.credentials(name)
    return { client: newEks(region, { credentials }), credentials }
  }
  return (target) => kept(doors, target.name, () => open(target))
}

function kept<T>(made: Map<string, T>, key: string, make: () => T): T {
  const value = made.get(key) ?? make()
  made.set(key, value)
  return value
}

async function connectTo(
  name: string,
  clusters: readonly FleetCluster[],
  doorOf: (target: FleetCluster) => Door,
  clock: Clock,
): Promise<Cluster> {
  const target = clusters.find((cluster) => cluster.name === name)
  if (!target) {
    throw new LockstepError(
      'ClusterNotInFleet',
      `The fleet has no cluster ${name}.`,
      `It has ${clusters.map((cluster) => cluster.name).join(', ') || 'none'}: correct the name or the fleet.`,
    )
  }
  const { client, credentials } = doorOf(target)
  const { server, caData } = await locate(target, client)
  const token = new EksToken({
    clock,
    eks: target.eks,
    region: target.region,
    credentials,
  })
  return new KubernetesClient({ name, clock, config: kubeConfig(target, server, caData, token) })
}

async function locate(target: FleetCluster, client: EKSClient): Promise<{ server: string; caData: string }> {
  const described = describeSchema.safeParse(await describe(target, client))
  if (!described.success) throw unreadable(target, 'lacks the fields that it should have')
  const { status, endpoint, certificateAuthority } = described.data.cluster
  if (!serving.has(status) || !endpoint) {
    throw new LockstepError(
      'EksClusterNotActive',
      `${target.name}: the EKS cluster ${target.eks} in ${target.region} is ${status}.`,
      'Wait until it is ACTIVE, then start the rollout again.',
    )
  }
  const caData = certificateAuthority?.data ?? ''
  const url = URL.parse(endpoint)
  if (!url || !isTrustworthy(url)) throw unreadable(target, 'names an endpoint that is not https')
  if (url.protocol === 'https:' && caData === '') throw unreadable(target, 'names no certificate authority')
  return { server: endpoint, caData }
}

/** A token must never travel in the clear; on this machine it does not travel. */
function isTrustworthy({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(hostname))
}

async function describe(target: FleetCluster, client: EKSClient): Promise<unknown> {
  try {
    return await client.send(new DescribeClusterCommand({ name: target.eks }))
  } catch (error) {
    if (error instanceof LockstepError) throw error
    throw describeFailure(target, error instanceof Error ? error : new Error('unknown error'))
  }
}

function describeFailure({ name, eks, region }: FleetCluster, error: Error): LockstepError {
  const cluster = `the EKS cluster ${eks} in ${region}`
  if (error.name === 'ResourceNotFoundException') {
    return new LockstepError(
      'EksClusterNotFound',
      `${name}: there is no ${cluster.slice('the '.length)}.`,
      'Correct "eks" and "region" of this cluster in the fleet, or check the account.',
    )
  }
  if (refusals.has(error.name)) {
    return new LockstepError(
      'EksAccessDenied',
      `${name}: AWS refuses to describe ${cluster} (${error.name}).`,
      'Deploy all stacks again, which lets the role that clusters know describe it, or refresh the credentials.',
    )
  }
  return new ClusterError(
    'ClusterUnavailable',
    name,
    0,
    `${name}: AWS could not describe ${cluster} (${error.name}).`,
    'Try again; check that the EKS API can be reached from here.',
  )
}

const refusals: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'ExpiredTokenException',
  'ExpiredToken',
  'CredentialsProviderError',
])

function unreadable({ name, eks, region }: FleetCluster, why: string): LockstepError {
  return new LockstepError(
    'EksAnswerUnreadable',
    `${name}: what AWS says of the EKS cluster ${eks} in ${region} ${why}.`,
    'Compare with aws eks describe-cluster.',
  )
}

const tokenProvider = 'lockstep-eks-token'

function kubeConfig(
  { eks, region, account }: FleetCluster,
  server: string,
  caData: string,
  token: EksToken,
): KubeConfig {
  const config = new KubeConfig()
  // The token is asked for before every request, so that it is never older than it may be.
  config.addAuthenticator({
    isAuthProvider: (user) => user.authProvider?.name === tokenProvider,
    applyAuthentication: async (_user, request) => {
      request.headers = { ...request.headers, Authorization: `Bearer ${await token.current()}` }
    },
  })
  // The client keeps credentials by user name: one name per cluster.
  const id = `${account ?? ''}/${region}/${eks}`
  config.loadFromClusterAndUser(
    // Without TLS there is nothing to verify, and the client insists on being told so.
    { name: id, server, caData, skipTLSVerify: server.startsWith('http:') },
    { name: id, authProvider: { name: tokenProvider } },
  )
  return config
}
