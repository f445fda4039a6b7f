import * as z from 'zod'
import type { PodEvidence } from '../evidence.ts'
import { kubernetesTime, shaped } from './unexpected-shape.ts'

/** What tofu-controller calls the container of a runner. Others in the pod, such as a proxy's, hold no lock. */
const runnerContainer = 'tf-runner'

// A kubelet that does not know a time writes null.
const runSchema = z
  .object({
    running: z.object({ startedAt: kubernetesTime.nullish() }).nullish(),
    terminated: z.object({ finishedAt: kubernetesTime.nullish() }).nullish(),
  })
  .nullish()

const containerSchema = z.object({
  name: z.string(),
  containerID: z.string().nullish(),
  state: runSchema,
  lastState: runSchema,
  restartCount: z.number().default(0),
})

const isRunner = ({ name }: { name: string }) => name === runnerContainer

const podSchema = z.object({
  metadata: z.object({
    uid: z.string().min(1),
    creationTimestamp: kubernetesTime,
    deletionTimestamp: kubernetesTime.nullish(),
    deletionGracePeriodSeconds: z.number().nullish(),
  }),
  spec: z.object({ nodeName: z.string().nullish() }).nullish(),
  status: z
    .object({
      phase: z.string().default('Pending'),
      // Empty before the kubelet has said anything.
      containerStatuses: z
        .array(containerSchema)
        .refine((all) => all.length === 0 || all.some(isRunner))
        .nullish(),
    })
    .nullish(),
})

type Pod = z.infer<typeof podSchema>
type Container = z.infer<typeof containerSchema>
type ExistingPod = Extract<PodEvidence, { exists: true }>

/** The label of every runner. */
export const runnerSelector = 'app.kubernetes.io/name=tf-runner'

/** The name of an object's runner. */
export function runnerOf(object: string): string {
  return `${object}-tf-runner`
}

const runningSchema = z.object({
  metadata: z.object({ namespace: z.string(), name: z.string() }),
  status: z.object({ phase: z.string().optional() }).nullish(),
})

/** Names a raw pod that has not ended. Undefined for one that has. Throws UnexpectedShape. */
export function runningPod(raw: unknown): { namespace: string; name: string } | undefined {
  const { metadata, status } = shaped('a Pod', runningSchema, raw)
  return ['Failed', 'Succeeded'].includes(status?.phase ?? '') ? undefined : metadata
}

/** What a raw pod says of the runner in it. Throws UnexpectedShape. */
export function podEvidence(what: string, raw: unknown): ExistingPod {
  const { metadata, spec, status } = shaped(what, podSchema, raw)
  const container = status?.containerStatuses?.find(isRunner)
  const deletingSince = deletionAskedAt(metadata)
  return {
    exists: true,
    uid: metadata.uid,
    createdAt: metadata.creationTimestamp,
    phase: status?.phase ?? 'Pending',
    ...(spec?.nodeName && { node: spec.nodeName }),
    ...(deletingSince !== undefined && { deletingSince }),
    ...(container && { container: containerEvidence(container) }),
  }
}

/** The API shows when the grace ends, not when it began. */
function deletionAskedAt({ deletionTimestamp, deletionGracePeriodSeconds }: Pod['metadata']): number | undefined {
  if (typeof deletionTimestamp !== 'number') return undefined
  return deletionTimestamp - (deletionGracePeriodSeconds ?? 0) * 1_000
}

/** A state without any member is `waiting`, by the API's own definition. */
function containerEvidence({ containerID, state, lastState, restartCount }: Container): ExistingPod['container'] {
  const startedAt = state?.running?.startedAt
  const finishedAt = state?.terminated?.finishedAt ?? lastState?.terminated?.finishedAt
  return {
    state: state?.running ? 'running' : state?.terminated ? 'terminated' : 'waiting',
    restarts: restartCount,
    ...(containerID && { id: containerID }),
    ...(typeof startedAt === 'number' && { startedAt }),
    ...(typeof finishedAt === 'number' && { finishedAt }),
  }
}
