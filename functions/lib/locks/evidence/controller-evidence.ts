import * as z from 'zod'
import { LockstepError } from '../../errors.ts'
import type { ControllerEvidence } from '../evidence.ts'
import type { LeaseSeen } from './lease-seen.ts'
import { oneLine } from './one-line.ts'
import { shaped } from './unexpected-shape.ts'

/** The chart's label. */
export const controllerSelector = 'app.kubernetes.io/name=tofu-controller'

/** The Lease by which its processes agree on the one that works, in the namespace of the Deployment. */
export const leaderLease = '1953de50.contrib.fluxcd.io'

/** What the Deployment is called by the charts of today and of old. */
const deploymentNames: ReadonlySet<string> = new Set(['tofu-controller', 'tf-controller'])

const deploymentSchema = z.object({
  metadata: z.object({ namespace: z.string(), name: z.string() }),
  spec: z.object({
    replicas: z.number().default(1),
    // Without any label it would select every pod there is.
    selector: z.object({
      matchLabels: z.record(z.string(), z.string()).refine((labels) => Object.keys(labels).length > 0),
    }),
  }),
})

const podSchema = z.object({
  metadata: z.object({ name: z.string() }),
  status: z
    .object({
      phase: z.string().default('Pending'),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).nullish(),
    })
    .nullish(),
})

/** tofu-controller's Deployment, as far as its pods and its Lease are found by it. */
export interface ControllerDeployment {
  readonly namespace: string
  readonly name: string
  readonly replicas: number
  /** For a list of its pods. */
  readonly podSelector: string
}

/** Whether a raw Deployment has the name that tofu-controller's has. */
export function isControllerByName(raw: unknown): boolean {
  const named = z.object({ metadata: z.object({ name: z.string() }) }).safeParse(raw)
  return named.success && deploymentNames.has(named.data.metadata.name)
}

/** The one of these raw Deployments that is tofu-controller's. Throws UnexpectedShape, ControllerAmbiguous. */
export function controllerAmong(raw: readonly unknown[]): ControllerDeployment | undefined {
  const all = raw.map((deployment) => shaped('a Deployment', deploymentSchema, deployment))
  const named = all.filter(({ metadata }) => deploymentNames.has(metadata.name))
  const [found, ...others] = named.length > 0 ? named : all
  if (!found) return undefined
  if (others.length > 0) throw ambiguous([found, ...others].map(({ metadata }) => metadata))
  const labels = Object.entries(found.spec.selector.matchLabels).map(([label, value]) => `${label}=${value}`)
  return { ...found.metadata, replicas: found.spec.replicas, podSelector: labels.join(',') }
}

/** What raw pods of the Deployment and its Lease say. Throws UnexpectedShape. */
export function controllerEvidence(
  { namespace, name, replicas }: ControllerDeployment,
  rawPods: readonly unknown[],
  lease: LeaseSeen | undefined,
): ControllerEvidence {
  const pods = rawPods.map((raw) => podOf(shaped("a controller's Pod", podSchema, raw)))
  const leader = leaderOf(lease)
  return {
    deployment: `${namespace}/${name}`,
    replicas,
    ready: pods.filter(({ phase, ready }) => phase === 'Running' && ready).length,
    pods,
    ...(leader && { leader }),
  }
}

/** Undefined for a Lease that was given back, or never taken. */
function leaderOf(lease: LeaseSeen | undefined): ControllerEvidence['leader'] {
  const { holder, renewedAt, durationMs } = lease ?? {}
  if (holder === undefined || renewedAt === undefined || durationMs === undefined) return undefined
  return { holder: oneLine(holder), renewedAt, leaseMs: durationMs }
}

function podOf({ metadata, status }: z.infer<typeof podSchema>): ControllerEvidence['pods'][number] {
  const ready = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
  return { name: metadata.name, phase: status?.phase ?? 'Pending', ready }
}

function ambiguous(deployments: readonly { namespace: string; name: string }[]): LockstepError {
  const names = deployments.slice(0, 3).map(({ namespace, name }) => `${namespace}/${name}`)
  return new LockstepError(
    'ControllerAmbiguous',
    `${deployments.length} Deployments could be tofu-controller (${names.join(', ')}${deployments.length > 3 ? ', …' : ''}).`,
    `Give the label ${controllerSelector} to one of them only.`,
  )
}
