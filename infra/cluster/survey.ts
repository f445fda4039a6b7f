import { HttpMethod } from '@kubernetes/client-node'
import * as z from 'zod'
import { each } from '../../functions/lib/each.ts'
import { LockstepError } from '../../functions/lib/errors.ts'
import type { ApiConnection } from '../../functions/lib/kubernetes/api-connection.ts'
import { ClusterError, type Kind, resources } from '../../functions/lib/kubernetes/cluster.ts'
import { type Permission, resourceText } from './permissions.ts'

/** What a cluster has of what Lockstep may ask for. */
export interface Survey {
  readonly cluster: string
  /** The API server's URL. */
  readonly server: string
  /** Version of the API server: `v1.35.4`, `v1.33.5-eks-1a2b3c4`. */
  readonly kubernetes: string
  /** Whose permissions these are: of the credentials themselves, or of whoever is in these groups. */
  readonly of: 'credentials' | readonly string[]
  /** As whom the API server knows the credentials, where it tells. */
  readonly user: { readonly name: string; readonly groups: readonly string[] } | undefined
  /** The versions that each kind is served at: none where its CRD is not installed. */
  readonly kinds: Readonly<Record<Kind, readonly string[]>>
  readonly permissions: readonly Answered[]
  /** Those that only unlocks need. */
  readonly unlockPermissions: readonly Answered[]
  /** Undefined where the credentials may not read it, or where nothing says it. */
  readonly flux: string | undefined
  readonly tofuController: string | undefined
  /** Those that are known by their labels, by name. Undefined where the credentials may not list Deployments. */
  readonly controllers: readonly Controller[] | undefined
}

/** A Deployment of Flux or of tofu-controller. */
export interface Controller {
  readonly namespace: string
  readonly name: string
  /** By its image's tag: of the controller itself, which in Flux differs from the version of Flux. Undefined without one. */
  readonly version: string | undefined
  /** How many pods are ready, of how many. */
  readonly ready: number
  readonly replicas: number
}

export interface Answered {
  readonly permission: Permission
  readonly allowed: boolean
}

/** How many questions are asked at once: each may need a connection of its own. */
const questionsAtOnce = 8

/**
 * Asks a cluster what it serves and what these credentials may do, with nothing but rights that every authenticated
 * user has: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
 * Throws ClusterError, NotAnApiServer, and where groups are asked for MayNotAskForGroups.
 */
export async function surveyCluster(
  connection: ApiConnection,
  asked: {
    readonly permissions: readonly Permission[]
    readonly unlockPermissions: readonly Permission[]
    /** Whose permissions are asked for: default those of the credentials. Others' take the right to ask for them. */
    readonly groups?: Groups
  },
): Promise<Survey> {
  const { groups } = asked
  const asking = new Asking(connection)
  // Alone: where nobody answers, or the credentials are not known, nothing else needs to be tried.
  const kubernetes = await asking.version()
  const [user, kinds, permissions, unlockPermissions, crd, ofFlux, ofTofuController] = await Promise.all([
    asking.user(),
    asking.kinds(),
    asking.mayDo(asked.permissions, groups?.orders),
    asking.mayDo(asked.unlockPermissions, groups?.unlocks),
    asking.fluxVersionOfCrd(),
    asking.deployments('app.kubernetes.io/part-of=flux'),
    asking.deployments('app.kubernetes.io/name=tofu-controller'),
  ])
  const { name: cluster, server } = connection
  return {
    ...{
      cluster,
      server,
      kubernetes,
      of: groups?.orders ?? 'credentials',
      user,
      kinds,
      permissions,
      unlockPermissions,
    },
    flux: crd ?? ofFlux?.[0]?.metadata.labels[versionLabel],
    tofuController: ofTofuController?.[0] && tofuControllerVersion(ofTofuController[0]),
    controllers: ofFlux && ofTofuController && controllersOf([...ofFlux, ...ofTofuController]),
  }
}

/** Of whom is asked what may be done: whoever puts rollouts in order and judges locks, and whoever unlocks. */
export interface Groups {
  readonly orders: readonly string[]
  readonly unlocks: readonly string[]
}

/** What goes to a terminal may hold nothing that moves its cursor. */
const printable = z.string().transform((text) => text.replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ').slice(0, 200))

const versionSchema = z.object({ gitVersion: printable })
const groupsSchema = z.object({
  groups: z.array(z.object({ name: z.string(), versions: z.array(z.object({ version: printable })) })),
})
const resourcesSchema = z.object({ resources: z.array(z.object({ name: z.string() })) })
const userSchema = z.object({
  status: z.object({ userInfo: z.object({ username: printable, groups: z.array(printable).default([]) }) }),
})
const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) })
const metadataSchema = z.object({ labels: z.record(z.string(), printable).default({}) })
const labelledSchema = z.object({ metadata: metadataSchema })
const count = z.number().int().nonnegative()
const deploymentsSchema = z.object({
  items: z.array(
    z.object({
      metadata: metadataSchema.extend({ name: printable, namespace: printable.default('') }),
      spec: z.object({
        replicas: count.default(1),
        template: z.object({ spec: z.object({ containers: z.array(z.object({ image: printable.default('') })) }) }),
      }),
      status: z.object({ readyReplicas: count.default(0) }).prefault({}),
    }),
  ),
})
type Deployment = z.infer<typeof deploymentsSchema>['items'][number]

const versionLabel = 'app.kubernetes.io/version'

/** The chart labels its Deployment; an image is what other ways of installing it leave. */
function tofuControllerVersion(deployment: Deployment): string | undefined {
  return deployment.metadata.labels[versionLabel] ?? tagOf(deployment, 'tofu-controller')
}

function controllersOf(deployments: readonly Deployment[]): Controller[] {
  return deployments
    .map((deployment) => ({
      namespace: deployment.metadata.namespace,
      name: deployment.metadata.name,
      version: tagOf(deployment, deployment.metadata.name) ?? tagOf(deployment, 'tofu-controller'),
      ready: deployment.status.readyReplicas,
      replicas: deployment.spec.replicas,
    }))
    .sort((one, other) => one.name.localeCompare(other.name) || one.namespace.localeCompare(other.namespace))
}

/** `v0.16.5` of `ghcr.io/flux-iac/tofu-controller:v0.16.5@sha256:…`, of the container whose image has that name. */
function tagOf({ spec }: Deployment, name: string): string | undefined {
  const image = spec.template.spec.containers.find((container) => container.image.includes(name))
  return /:(v?\d+\.\d+[^@]*)/.exec(image?.image ?? '')?.[1]
}

/** The questions of a survey, one method each. */
class Asking {
  private readonly connection: ApiConnection

  constructor(connection: ApiConnection) {
    this.connection = connection
  }

  async version(): Promise<string> {
    try {
      return (await this.get('/version', versionSchema)).gitVersion
    } catch (error) {
      if (!(error instanceof ClusterError) || error.name !== 'KindNotServed') throw error
      throw new LockstepError(
        'NotAnApiServer',
        `${this.connection.name}: ${this.connection.server} is not an API server of Kubernetes: it has no /version.`,
        'Correct the URL of this cluster.',
      )
    }
  }

  async user(): Promise<Survey['user']> {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
    const answer = await orNothing(this.post('who asks', path, body, userSchema))
    return answer && { name: answer.status.userInfo.username, groups: answer.status.userInfo.groups }
  }

  async kinds(): Promise<Survey['kinds']> {
    const { groups } = await this.get('/apis', groupsSchema)
    const wanted = new Set<string>(Object.values(resources).map(({ group }) => group))
    const served = groups
      .filter(({ name }) => wanted.has(name))
      .flatMap(({ name, versions }) => versions.map(({ version }) => ({ group: name, version })))
    const plurals = new Map<string, readonly string[]>()
    await each(served, questionsAtOnce, async ({ group, version }) => {
      const list = await orNothing(this.get(`/apis/${group}/${version}`, resourcesSchema))
      plurals.set(`${group}/${version}`, list?.resources.map(({ name }) => name) ?? [])
    })
    const versionsOf = ({ group: wantedGroup, plural }: { group: string; plural: string }) =>
      served
        .filter(({ group, version }) => group === wantedGroup && plurals.get(`${group}/${version}`)?.includes(plural))
        .map(({ version }) => version)
    const kinds = Object.entries(resources).map(([kind, resource]) => [kind, versionsOf(resource)] as const)
    return Object.fromEntries(kinds) as Record<Kind, string[]>
  }

  /** `groups`: whoever is in all of these; undefined for the credentials themselves. */
  async mayDo(permissions: readonly Permission[], groups?: readonly string[]): Promise<Answered[]> {
    const answers = new Map<Permission, boolean>()
    await each(permissions, questionsAtOnce, async (permission) => {
      answers.set(permission, await (groups ? this.mayGroups(groups, permission) : this.mayDoOne(permission)))
    })
    return permissions.map((permission) => ({ permission, allowed: answers.get(permission) === true }))
  }

  private mayDoOne(permission: Permission): Promise<boolean> {
    return this.review('SelfSubjectAccessReview', { resourceAttributes: permission }, permission)
  }

  private async mayGroups(groups: readonly string[], permission: Permission): Promise<boolean> {
    try {
      return await this.review('SubjectAccessReview', { groups, resourceAttributes: permission }, permission)
    } catch (error) {
      if (!(error instanceof ClusterError) || error.name !== 'ClusterForbidden') throw error
      throw new LockstepError(
        'MayNotAskForGroups',
        `${this.connection.name}: these credentials may not ask what members of ${groups.join(', ')} may do (create subjectaccessreviews.authorization.k8s.io).`,
        'Ask as an admin of the cluster; or ask without --groups, as a member of these groups.',
      )
    }
  }

  private async review(kind: string, spec: object, permission: Permission): Promise<boolean> {
    const path = `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`
    const what = `whether it may ${permission.verb} ${resourceText(permission)}`
    const body = { apiVersion: 'authorization.k8s.io/v1', kind, spec }
    return (await this.post(what, path, body, reviewSchema)).status.allowed
  }

  /** `flux install` and the Flux operator label whatever they install, CRDs and Deployments, with Flux's version. */
  async fluxVersionOfCrd(): Promise<string | undefined> {
    const { plural, group } = resources.Kustomization
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`
    const crd = await orNothing(this.get(path, labelledSchema))
    return crd?.metadata.labels[versionLabel]
  }

  async deployments(labelSelector: string): Promise<Deployment[] | undefined> {
    const answer = await orNothing(this.get('/apis/apps/v1/deployments', deploymentsSchema, { labelSelector }))
    return answer?.items
  }

  private async get<T>(path: string, schema: z.ZodType<T>, query: Record<string, string> = {}): Promise<T> {
    const asked = this.connection.asked(`GET ${path}`)
    return this.read(path, schema, await this.connection.json({ asked, method: HttpMethod.GET, path, query }))
  }

  private async post<T>(what: string, path: string, body: object, schema: z.ZodType<T>): Promise<T> {
    const asked = this.connection.asked(`asking ${what}`)
    const contentType = 'application/json'
    const call = { asked, method: HttpMethod.POST, path, contentType, body: JSON.stringify(body) }
    return this.read(path, schema, await this.connection.json(call))
  }

  private read<T>(path: string, schema: z.ZodType<T>, answer: unknown): T {
    const parsed = schema.safeParse(answer)
    if (parsed.success) return parsed.data
    const { name, server } = this.connection
    throw new LockstepError(
      'NotAnApiServer',
      `${name}: ${server} does not answer ${path} as an API server of Kubernetes does.`,
      'Correct the URL of this cluster.',
    )
  }
}

const unknowable: ReadonlySet<string> = new Set(['ClusterForbidden', 'ClusterNotFound', 'KindNotServed'])

/** Undefined for what is not there, or not for these credentials to know. */
async function orNothing<T>(question: Promise<T>): Promise<T | undefined> {
  try {
    return await question
  } catch (error) {
    if (error instanceof ClusterError && unknowable.has(error.name)) return undefined
    throw error
  }
}
