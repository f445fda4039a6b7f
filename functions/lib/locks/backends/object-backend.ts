import * as z from 'zod'
import { ClusterError } from '../../kubernetes/cluster.ts'
import { type BackendBlock, backendBlockOf, backendConfigSchema } from './backend-block.ts'
import { HclRefused, type HclValue, readHclValue } from './hcl.ts'

/** Where an object's state is, and its lock with it. */
export type ObjectBackend =
  | KubernetesBackend
  | S3Backend
  /** Its locks are where Lockstep does not look. */
  | { readonly type: 'unsupported'; readonly name: string; readonly why: string }
  /** No remote backend, or one that takes no locks. */
  | { readonly type: 'unlocked'; readonly why: string }
  | { readonly type: 'unreadable'; readonly why: string }

export interface KubernetesBackend {
  readonly type: 'kubernetes'
  readonly namespace: string
  readonly suffix: string
  readonly workspace: string
  /** The cluster is the one that a kubeconfig of the runner leads to, which may be another. */
  readonly kubeconfig?: true
}

export interface S3Backend {
  readonly type: 's3'
  readonly bucket: string
  readonly key: string
  readonly region: string
  readonly workspace: string
  readonly workspaceKeyPrefix: string
  /** The DynamoDB table of the locks. */
  readonly table?: string
  /** Whether there is a lock file beside the state. With `table` there are both. */
  readonly lockfile: boolean
  /**
   * Where S3 and DynamoDB are, if not on AWS. Whoever may write the object chose them: they tell that the bucket is not
   * the one of that name on AWS, and are never to be called with credentials of ours.
   */
  readonly endpoints?: { readonly s3?: string; readonly dynamodb?: string }
}

/** What `spec.backendConfigsFrom` names. */
export interface ConfigurationRef {
  readonly kind: 'Secret' | 'ConfigMap'
  readonly namespace: string
  readonly name: string
}

/** The values by key, decoded; undefined where there is no such object. Rejects with ClusterError. */
export type ReadConfiguration = (ref: ConfigurationRef) => Promise<Readonly<Record<string, string>> | undefined>

const terraformSchema = z.object({
  metadata: z.object({ namespace: z.string().min(1), name: z.string().min(1) }),
  spec: z.object({
    workspace: z.string().nullish(),
    cloud: z.unknown().optional(),
    backendConfig: backendConfigSchema.nullish(),
    backendConfigsFrom: z
      .array(
        z.object({
          kind: z.enum(['Secret', 'ConfigMap']),
          name: z.string().min(1),
          keys: z.array(z.string()).nullish(),
          optional: z.boolean().default(false),
        }),
      )
      .nullish(),
    runnerPodTemplate: z
      .object({ spec: z.object({ env: z.array(z.object({ name: z.string(), value: z.string().optional() })) }) })
      .optional()
      .catch(undefined),
  }),
})

type Terraform = z.infer<typeof terraformSchema>
type Attributes = ReadonlyMap<string, HclValue>

/**
 * The backend of a Terraform object, as tofu-controller gives it to OpenTofu: the block of `backendConfig` and over it
 * the values of `backendConfigsFrom`. What has no region is in the region that its runner's environment names, or in
 * `clusterRegion`: EKS gives its pods that one. Whatever cannot be read is told as `unreadable`; rejects only with what
 * `read` throws that is no ClusterError.
 */
export async function backendOf(raw: unknown, read: ReadConfiguration, clusterRegion = ''): Promise<ObjectBackend> {
  const { data, error } = terraformSchema.safeParse(raw)
  if (!data) return unreadable(`${error.issues[0]?.path.join('.') || 'the object'} is not of the expected shape`)
  if (data.spec.cloud !== undefined && data.spec.cloud !== null) return unsupported('cloud')
  const moving = data.spec.runnerPodTemplate?.spec.env.find(({ name }) => placingVariable.test(name))
  if (moving) return unreadable(`its runner's environment sets ${moving.name}, which may move its state`)
  try {
    const block = backendBlockOf({ ...data.metadata, backendConfig: data.spec.backendConfig ?? undefined })
    if (!block) return { type: 'unlocked', why: noBlock }
    if (block.name !== 's3' && block.name !== 'kubernetes') return unsupported(block.name)
    const attributes = new Attribute(await overlaid(block, data, read))
    return block.name === 's3' ? s3Backend(attributes, data, clusterRegion) : kubernetesBackend(attributes, data)
  } catch (failure) {
    if (failure instanceof Unreadable) return unreadable(failure.message)
    if (failure instanceof HclRefused) return unreadable(`spec.backendConfig.customConfiguration: ${failure.message}`)
    throw failure
  }
}

const noBlock =
  'tofu-controller is told to configure no backend: unless the module has one of its own, which Lockstep does not read, the state is a file in the runner’s pod'

/** Variables by which OpenTofu is told another workspace, other arguments or another cluster. */
const placingVariable = /^(TF_WORKSPACE|TF_CLI_ARGS(_\w+)?|KUBE_\w+)$/

class Unreadable extends Error {}

function unreadable(why: string): ObjectBackend {
  return { type: 'unreadable', why }
}

function unsupported(name: string): ObjectBackend {
  const why =
    name === 'local'
      ? 'the state is a file in the runner’s pod, and is lost with it'
      : 'Lockstep knows the locks of the backends s3 and kubernetes only'
  return { type: 'unsupported', name, why }
}

/** The attributes that say where the state and its lock are. The others may be secrets: nobody looks at them. */
const placing: Readonly<Record<string, readonly string[]>> = {
  s3: [
    ...['bucket', 'key', 'region', 'workspace_key_prefix', 'dynamodb_table', 'use_lockfile'],
    ...['endpoints', 'endpoint', 'dynamodb_endpoint'],
  ],
  kubernetes: ['namespace', 'secret_suffix', 'host', 'config_path', 'config_paths', 'config_context'],
}

/** `-backend-config` for each value: it wins over the block, and a later one over an earlier one. */
async function overlaid(block: BackendBlock, { metadata, spec }: Terraform, read: ReadConfiguration) {
  const known = placing[block.name] ?? []
  const attributes = new Map([...block.attributes].filter(([name]) => known.includes(name)))
  for (const { kind, name, keys, optional } of spec.backendConfigsFrom ?? []) {
    const wanted = keys ? known.filter((key) => keys.includes(key)) : known
    if (wanted.length === 0) continue
    const from = { kind, namespace: metadata.namespace, name }
    const values = await valuesOf(from, optional, read)
    for (const key of wanted) {
      const value = Object.hasOwn(values, key) ? values[key] : undefined
      if (value !== undefined) attributes.set(key, givenValue(key, value, from))
      // A key that is asked for by name and is not in the Secret counts as empty; in a ConfigMap as not asked for.
      else if (keys && kind === 'Secret') attributes.set(key, '')
    }
  }
  return attributes
}

async function valuesOf(ref: ConfigurationRef, optional: boolean, read: ReadConfiguration) {
  const values = await read(ref).catch((error: unknown) => {
    if (!(error instanceof ClusterError)) throw error
    throw new Unreadable(`${refText(ref)} of spec.backendConfigsFrom could not be read (${error.name}); ${error.next}`)
  })
  if (!values && !optional) throw new Unreadable(`${refText(ref)} of spec.backendConfigsFrom does not exist`)
  return values ?? {}
}

/** Text as it is, but for what takes an object: that is HCL. */
function givenValue(key: string, value: string, from: ConfigurationRef): HclValue {
  if (key !== 'endpoints') return value
  try {
    return readHclValue(value)
  } catch (error) {
    if (error instanceof HclRefused) throw new Unreadable(`${key} in ${refText(from)}: ${error.message}`)
    throw error
  }
}

function refText({ kind, namespace, name }: ConfigurationRef): string {
  return `${kind}/${namespace}/${name}`
}

function workspaceOf({ spec }: Terraform): string {
  return spec.workspace || 'default'
}

const kubernetesName = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

/** Where a kubeconfig leads cannot be seen from outside: it is looked for in this cluster, and not ruled out in others. */
function kubernetesBackend(attributes: Attribute, object: Terraform): ObjectBackend {
  if (attributes.text('host') !== '') {
    const why =
      'its block names the API server of a cluster by address, and Lockstep looks into the object’s own cluster'
    return { type: 'unsupported', name: 'kubernetes', why }
  }
  const suffix = attributes.needed('secret_suffix')
  const workspace = workspaceOf(object)
  // OpenTofu's own default, wherever the object is.
  const namespace = attributes.text('namespace') || 'default'
  if (!kubernetesName.test(`tfstate-${workspace}-${suffix}`) || !kubernetesName.test(namespace)) {
    return unreadable('its namespace, workspace and secret_suffix make no name of a Secret')
  }
  const kubeconfig = ['config_path', 'config_paths', 'config_context'].some((name) => attributes.has(name))
  return { type: 'kubernetes', namespace, suffix, workspace, ...(kubeconfig && { kubeconfig }) }
}

const bucketName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/
const tableName = /^[A-Za-z0-9._-]{3,255}$/
const regionName = /^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/

function s3Backend(attributes: Attribute, object: Terraform, clusterRegion: string): ObjectBackend {
  const key = attributes.needed('key')
  if (key.startsWith('/') || key.endsWith('/')) return unreadable('key begins or ends with a slash')
  const region = attributes.text('region') || environmentRegion(object) || clusterRegion
  if (region === '') return unreadable('no region is given')
  if (!regionName.test(region)) return unreadable('region is not the name of an AWS region')
  const table = attributes.text('dynamodb_table')
  if (table !== '' && !tableName.test(table)) return unreadable('dynamodb_table is not the name of a table')
  const bucket = attributes.needed('bucket')
  if (!bucketName.test(bucket)) return unreadable('bucket is not the name of a bucket')
  const lockfile = attributes.flag('use_lockfile')
  if (table === '' && !lockfile)
    return { type: 'unlocked', why: 's3 without use_lockfile or dynamodb_table takes no locks' }
  const workspaceKeyPrefix = attributes.optional('workspace_key_prefix') ?? 'env:'
  const endpoints = attributes.endpoints()
  return {
    ...{ type: 's3', bucket, key, region, workspace: workspaceOf(object), workspaceKeyPrefix, lockfile },
    ...(table !== '' && { table }),
    ...(endpoints && { endpoints }),
  }
}

function environmentRegion({ spec }: Terraform): string {
  const env = spec.runnerPodTemplate?.spec.env ?? []
  const of = (name: string) => env.findLast((variable) => variable.name === name)?.value
  return of('AWS_REGION') || of('AWS_DEFAULT_REGION') || ''
}

/** Reads attributes as OpenTofu converts them. Throws Unreadable. */
class Attribute {
  private readonly attributes: Attributes

  constructor(attributes: Attributes) {
    this.attributes = attributes
  }

  has(name: string): boolean {
    return this.attributes.has(name)
  }

  /** Undefined where it is not set. */
  optional(name: string): string | undefined {
    const value = this.attributes.get(name) ?? undefined
    if (value === undefined) return undefined
    if (typeof value === 'object') throw new Unreadable(`${name} must be text`)
    return String(value)
  }

  /** Empty where it is not set. */
  text(name: string): string {
    return this.optional(name) ?? ''
  }

  needed(name: string): string {
    const value = this.text(name)
    if (value === '') throw new Unreadable(`${name} is not given`)
    return value
  }

  flag(name: string): boolean {
    const value = this.text(name)
    if (value === '' || value === 'false' || value === '0') return false
    if (value === 'true' || value === '1') return true
    throw new Unreadable(`${name} must be true or false`)
  }

  /** `endpoints = { s3 = … }`, or the older `endpoint` and `dynamodb_endpoint`. */
  endpoints(): S3Backend['endpoints'] | undefined {
    const given = this.attributes.get('endpoints') ?? new Map()
    if (!(given instanceof Map)) throw new Unreadable('endpoints must be an object')
    const named = new Attribute(given)
    const s3 = named.text('s3') || this.text('endpoint')
    const dynamodb = named.text('dynamodb') || this.text('dynamodb_endpoint')
    if (s3 === '' && dynamodb === '') return undefined
    return { ...(s3 !== '' && { s3 }), ...(dynamodb !== '' && { dynamodb }) }
  }
}
