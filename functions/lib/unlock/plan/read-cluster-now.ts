import * as z from 'zod'
import { condition, objectSchema } from '../../flux/object.ts'
import { parseWorkload } from '../../flux/workload.ts'
import { type Cluster, refKey } from '../../kubernetes/cluster.ts'
import { getIfThere } from '../../kubernetes/get-if-there.ts'
import { listServed } from '../../kubernetes/list-served.ts'
import { type LockPlace, lockPlaceOf, stateText } from '../../locks/backends/lock-place.ts'
import { backendOf, type ReadConfiguration } from '../../locks/backends/object-backend.ts'
import { configurationData } from '../../locks/evidence/configuration-data.ts'
import { controllerAmong, controllerSelector, isControllerByName } from '../../locks/evidence/controller-evidence.ts'
import { oneLine } from '../../locks/evidence/one-line.ts'
import { runnerOf } from '../../locks/evidence/pod-evidence.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import { whyFailed } from '../../locks/scan/lock-access.ts'
import { isRunning } from '../run/terraform-run.ts'
import { appliersOf, declares, suspendersOf } from './appliers.ts'
import type {
  Autoscaler,
  ClusterNow,
  ControllerNow,
  OtherTerraform,
  Reading,
  RunnerNow,
  TerraformNow,
} from './cluster-now.ts'
import { endingPodSchema, shutdownOf } from './graceful-shutdown.ts'

/** The Terraform object whose lock is looked at. */
export interface UnlockTarget {
  readonly namespace: string
  readonly name: string
  /** Where its cluster is: what a backend without a region means. */
  readonly region: string
}

/**
 * Reads what a plan of an unlock rests on. What cannot be read is told in its place, so that the plan can say why it
 * refuses. Never rejects, and changes nothing.
 */
export async function readClusterNow(cluster: Cluster, target: UnlockTarget): Promise<ClusterNow> {
  const terraforms = listTerraforms(cluster)
  const deployment = findDeployment(cluster)
  const [controller, object, others, runner, autoscalers] = await Promise.all([
    reading(async () => controllerNow(cluster, await deployment)),
    reading(async () => objectNow(cluster, target, await terraforms)),
    reading(async () => othersNow(cluster, target, await terraforms)),
    reading(() => readRunner(cluster, target)),
    reading(async () => autoscalersNow(cluster, await deployment)),
  ])
  return { controller, object, others, runner, autoscalers }
}

/** What a plan rests on where the cluster cannot be reached at all. */
export function nothingRead(why: string): ClusterNow {
  const unknown = { unknown: why }
  return { controller: unknown, object: unknown, others: unknown, runner: unknown, autoscalers: unknown }
}

/** tofu-controller, as it is installed now; undefined where it is not. Rejects with ClusterError and UnexpectedShape. */
export async function readController(cluster: Cluster): Promise<ControllerNow | undefined> {
  return controllerNow(cluster, await findDeployment(cluster))
}

async function reading<Value>(read: () => Promise<Value>): Promise<Reading<Value>> {
  try {
    return { value: await read() }
  } catch (error) {
    return { unknown: whyFailed(error) }
  }
}

const deploymentSchema = objectSchema.extend({
  spec: z.looseObject({ template: z.looseObject({ spec: endingPodSchema }) }),
})

interface Deployment {
  readonly raw: z.infer<typeof deploymentSchema>
  readonly replicas: number
  readonly podSelector: string
}

async function findDeployment(cluster: Cluster): Promise<Deployment | undefined> {
  const labelled = (await cluster.list('Deployment', { labelSelector: controllerSelector })).items
  const all = labelled.length > 0 ? labelled : (await cluster.list('Deployment')).items.filter(isControllerByName)
  const found = controllerAmong(all)
  if (!found) return undefined
  const isFound = ({ metadata }: Deployment['raw']) =>
    metadata.namespace === found.namespace && metadata.name === found.name
  const raw = all.map((each) => shaped('a Deployment', deploymentSchema, each)).find(isFound)
  return raw && { raw, replicas: found.replicas, podSelector: found.podSelector }
}

const controllerPodSchema = z.object({
  metadata: z.object({ name: z.string(), uid: z.string().min(1) }),
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).nullish() }).nullish(),
})

async function controllerNow(cluster: Cluster, deployment: Deployment | undefined): Promise<ControllerNow | undefined> {
  if (!deployment) return undefined
  const { raw, replicas, podSelector } = deployment
  const { namespace, name } = raw.metadata
  const [pods, appliers] = await Promise.all([
    cluster.list('Pod', { namespace, labelSelector: podSelector }),
    appliersOf(cluster, raw.metadata),
  ])
  return {
    key: refKey({ kind: 'Deployment', namespace, name }),
    replicas,
    ...shutdownOf(raw.spec.template.spec),
    pods: pods.items.map((each) => {
      const { metadata, status } = shaped("a controller's Pod", controllerPodSchema, each)
      const ready = status?.conditions?.some((given) => given.type === 'Ready' && given.status === 'True') ?? false
      return { name: metadata.name, uid: metadata.uid, ready }
    }),
    appliers,
  }
}

const terraformSchema = objectSchema.extend({
  spec: z.looseObject({
    approvePlan: z.string().default(''),
    runnerTerminationGracePeriodSeconds: z.number().nonnegative().default(30),
    tfstate: z.looseObject({ forceUnlock: z.string().optional(), lockIdentifier: z.string().optional() }).nullish(),
  }),
  status: z.looseObject({ lock: z.looseObject({ pending: z.string().nullish() }).nullish() }).nullish(),
})

interface Terraform {
  readonly raw: unknown
  readonly namespace: string
  readonly name: string
}

/** One that cannot be read may be running: nothing is known of the cluster's runs then. */
async function listTerraforms(cluster: Cluster): Promise<readonly Terraform[]> {
  const items = (await listServed(cluster, 'Terraform')) ?? []
  return items.map((raw) => {
    const { namespace, name } = shaped('a Terraform object', objectSchema, raw).metadata
    return { raw, namespace, name }
  })
}

async function objectNow(
  cluster: Cluster,
  { namespace, name, region }: UnlockTarget,
  all: readonly Terraform[],
): Promise<TerraformNow | undefined> {
  const found = all.find((each) => each.namespace === namespace && each.name === name)
  if (!found) return undefined
  const { key, suspended, gate, deleting, conditions, metLock, pendingPlan, ...workload } = parseWorkload(
    'Terraform',
    found.raw,
  )
  const { metadata, spec, status } = shaped(key, terraformSchema, found.raw)
  const ready = condition(conditions, 'Ready')
  const { forceUnlock, lockIdentifier } = spec.tfstate ?? {}
  const place = await placeOf(cluster, found.raw, region)
  return {
    ...{ key, suspended, deleting, running: isRunning(found.raw) },
    ...(gate !== undefined && { gate }),
    ready: oneLine(`${ready?.status ?? 'Unknown'} ${ready?.reason ?? ''}`).trim(),
    ...(metLock !== undefined && { metLock }),
    pendingLock: status?.lock?.pending ?? '',
    pendingPlan: pendingPlan ?? '',
    lastPlannedRevision: workload.lastPlannedRevision ?? '',
    lastAttemptedRevision: workload.lastAttemptedRevision ?? '',
    approvePlan: spec.approvePlan,
    ...(forceUnlock !== undefined && { forceUnlock }),
    ...(lockIdentifier !== undefined && { lockIdentifier }),
    forceUnlockByGit: declares(metadata, 'tfstate'),
    runnerGraceMs: spec.runnerTerminationGracePeriodSeconds * 1_000,
    ...(place && { place }),
    appliers: await suspendersOf(cluster, metadata),
  }
}

/** Where its state and its lock are; undefined where its backend cannot be read. */
async function placeOf(cluster: Cluster, raw: unknown, region: string): Promise<LockPlace | undefined> {
  const read: ReadConfiguration = async (ref) => {
    const found = await getIfThere(cluster, ref)
    return found === undefined ? undefined : configurationData(ref.kind, refKey(ref), found)
  }
  const backend = await backendOf(raw, read, region)
  if (backend.type !== 's3' && backend.type !== 'kubernetes') return undefined
  return lockPlaceOf(backend, cluster.name)
}

async function othersNow(
  cluster: Cluster,
  { namespace, name, region }: UnlockTarget,
  all: readonly Terraform[],
): Promise<OtherTerraform[]> {
  const own = all.find((each) => each.namespace === namespace && each.name === name)
  const state = own && (await placeOf(cluster, own.raw, region))?.state
  const others = all.filter((each) => each.namespace !== namespace || each.name !== name)
  return Promise.all(
    others.map(async ({ raw }) => {
      const { key, suspended } = parseWorkload('Terraform', raw)
      const { metadata } = shaped(key, objectSchema, raw)
      const place = state && (await placeOf(cluster, raw, region))
      const sharesState = state !== undefined && place !== undefined && stateText(place.state) === stateText(state)
      return { key, suspended, running: isRunning(raw), sharesState, appliers: await suspendersOf(cluster, metadata) }
    }),
  )
}

const runnerSchema = z.object({
  metadata: z.object({ uid: z.string().min(1), deletionTimestamp: z.string().nullish() }),
  status: z.object({ phase: z.string().default('Pending') }).nullish(),
})

/** The pod that has the name of an object's runner. Rejects with ClusterError and UnexpectedShape. */
export async function readRunner(
  cluster: Cluster,
  { namespace, name }: Pick<UnlockTarget, 'namespace' | 'name'>,
): Promise<RunnerNow | undefined> {
  const ref = { kind: 'Pod', namespace, name: runnerOf(name) } as const
  const raw = await getIfThere(cluster, ref)
  if (raw === undefined) return undefined
  const { metadata, status } = shaped(refKey(ref), runnerSchema, raw)
  const deleting = typeof metadata.deletionTimestamp === 'string'
  return { key: refKey(ref), uid: metadata.uid, phase: status?.phase ?? 'Pending', deleting }
}

const autoscalerSchema = objectSchema.extend({
  spec: z.looseObject({ scaleTargetRef: z.looseObject({ kind: z.string(), name: z.string() }) }),
})
const ownersSchema = z.object({
  metadata: z.object({ ownerReferences: z.array(z.object({ kind: z.string(), name: z.string() })).nullish() }),
})

async function autoscalersNow(cluster: Cluster, deployment: Deployment | undefined): Promise<Autoscaler[]> {
  if (!deployment) return []
  const { namespace, name } = deployment.raw.metadata
  const { items } = await cluster.list('HorizontalPodAutoscaler', { namespace })
  return items.flatMap((raw) => {
    const { metadata, spec } = shaped('a HorizontalPodAutoscaler', autoscalerSchema, raw)
    const { scaleTargetRef: target } = spec
    if (target.kind !== 'Deployment' || target.name !== name) return []
    const owners = shaped('a HorizontalPodAutoscaler', ownersSchema, raw).metadata.ownerReferences ?? []
    const keda = owners.find(({ kind }) => kind === 'ScaledObject')
    const key = refKey({ kind: 'HorizontalPodAutoscaler', namespace, name: metadata.name })
    return [{ key, ...(keda && { scaledObject: `ScaledObject/${namespace}/${keda.name}` }) }]
  })
}
