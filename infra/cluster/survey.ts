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
 * Throws ClusterError, and NotAnApiServer.
 */
export async function surveyCluster(
  connection: ApiConnection,
  asked: { readonly permissions: readonly Permission[]; readonly unlockPermissions: readonly Permission[] },
): Promise<Survey> {
  const asking = new Asking(connection)
  // Alone: where nobody answers, or the credentials are not known, nothing else needs to be tried.
  const kubernetes = await asking.version()
  const [user, kinds, permissions, unlockPermissions, flux, tofuController] = await Promise.all([
    asking.user(),
    asking.kinds(),
    asking.mayDo(asked.permissions),
    asking.mayDo(asked.unlockPermissions),
    asking.fluxVersion(),
    asking.tofuControllerVersion(),
  ])
  const { name: cluster, server } = connection
  return { cluster, server, kubernetes, user, kinds, permissions, unlockPermissions, flux, tofuController }
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
const labelledSchema = z.object({
  metadata: z.object({ labels: z.record(z.string(), printable).default({}) }),
})
const deploymentsSchema = z.object({
  items: z.array(
    labelledSchema.extend({
      spec: z.object({
        template: z.object({ spec: z.object({ containers: z.array(z.object({ image: printable.default('') })) }) }),
      }),
    }),
  ),
})

const versionLabel = 'app.kubernetes.io/version'

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

  async mayDo(permissions: readonly Permission[]): Promise<Answered[]> {
    const answers = new Map<Permission, boolean>()
    await each(permissions, questionsAtOnce, async (permission) => {
      answers.set(permission, await this.mayDoOne(permission))
    })
    return permissions.map((permission) => ({ permission, allowed: answers.get(permission) === true }))
  }

  private async mayDoOne(permission: Permission): Promise<boolean> {
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: permission },
    }
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const what = `whether it may ${permission.verb} ${resourceText(permission)}`
    return (await this.post(what, path, body, reviewSchema)).status.allowed
  }

  /** `flux install` and the Flux operator label whatever they install, CRDs and Deployments, with Flux's version. */
  async fluxVersion(): Promise<string | undefined> {
    const { plural, group } = resources.Kustomization
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`
    const crd = await orNothing(this.get(path, labelledSchema))
    const version = crd?.metadata.labels[versionLabel]
    if (version !== undefined) return version
    const [deployment] = await this.deployments('app.kubernetes.io/part-of=flux')
    return deployment?.metadata.labels[versionLabel]
  }

  /** The chart labels its Deployment; an image is what other ways of installing it leave. */
  async tofuControllerVersion(): Promise<string | undefined> {
    const [deployment] = await this.deployments('app.kubernetes.io/name=tofu-controller')
    if (!deployment) return undefined
    const image = deployment.spec.template.spec.containers.find((container) =>
      container.image.includes('tofu-controller'),
    )
    return deployment.metadata.labels[versionLabel] ?? /:(v?\d+\.\d+[^@]*)/.exec(image?.image ?? '')?.[1]
  }

  private async deployments(labelSelector: string): Promise<z.infer<typeof deploymentsSchema>['items']> {
    const answer = await orNothing(this.get('/apis/apps/v1/deployments', deploymentsSchema, { labelSelector }))
    return answer?.items ?? []
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
