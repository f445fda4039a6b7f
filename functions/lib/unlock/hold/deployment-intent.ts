import * as z from 'zod'
import { sealAnnotation, unlockAnnotation } from '../../flux/annotations.ts'
import { type Cluster, refKey } from '../../kubernetes/cluster.ts'
import { patchAsRead } from '../../kubernetes/patch-as-read.ts'
import { controllerSelector, isControllerByName } from '../../locks/evidence/controller-evidence.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import { annotationOf, type Intent, IntentUnreadable, intentIn, refOfKey } from './intent.ts'

const deploymentSchema = z.looseObject({
  metadata: z.looseObject({
    ...{ namespace: z.string(), name: z.string(), uid: z.string(), resourceVersion: z.string() },
    annotations: z.record(z.string(), z.string()).default({}),
  }),
})

/**
 * Writes the intent on tofu-controller's Deployment. True again when it is there already; false, with nothing written,
 * where another one is, or where the Deployment is not the one that the intent means. Throws IntentTooLarge,
 * ClusterError, UnexpectedShape.
 */
export function writeOnDeployment(cluster: Cluster, intent: Intent): Promise<boolean> {
  const text = annotationOf(intent)
  const { object, uid } = intent.deployment
  return patchAsRead(cluster, refOfKey<'Deployment'>(object), (raw) => {
    if (raw === undefined) return { answer: false }
    const { metadata } = shaped(object, deploymentSchema, raw)
    const present = metadata.annotations[unlockAnnotation]
    if (metadata.uid !== uid || (present !== undefined && present !== text)) return { answer: false }
    if (present === text) return { answer: true }
    return { answer: true, patch: annotated(text, metadata.resourceVersion) }
  })
}

/**
 * Makes the Deployment another version, once: a request to scale it that is still on its way then conflicts, and does not stop
 * the controller under runs that were let go again. Throws ClusterError, UnexpectedShape.
 */
export function sealDeployment(cluster: Cluster, { unlock, deployment: { object, uid } }: Intent): Promise<void> {
  return patchAsRead(cluster, refOfKey<'Deployment'>(object), (raw) => {
    if (raw === undefined) return { answer: undefined }
    const { metadata } = shaped(object, deploymentSchema, raw)
    if (metadata.uid !== uid || metadata.annotations[sealAnnotation] === unlock) return { answer: undefined }
    const body = { metadata: { annotations: { [sealAnnotation]: unlock } } }
    return { answer: undefined, patch: { body, resourceVersion: metadata.resourceVersion } }
  })
}

/** Removes the intent of this unlock, and no other. Throws ClusterError, UnexpectedShape. */
export function removeFromDeployment(cluster: Cluster, { unlock, deployment: { object } }: Intent): Promise<void> {
  return patchAsRead(cluster, refOfKey<'Deployment'>(object), (raw) => {
    if (raw === undefined) return { answer: undefined }
    const { metadata } = shaped(object, deploymentSchema, raw)
    const present = metadata.annotations[unlockAnnotation]
    if (present === undefined || unlockIn(present) !== unlock) return { answer: undefined }
    return { answer: undefined, patch: annotated(null, metadata.resourceVersion) }
  })
}

/**
 * The intent that tofu-controller's Deployment carries, if any. The Deployment is found as the evidence for locks finds it:
 * by the chart's label, or else by its name. Throws IntentUnreadable, ClusterError, UnexpectedShape.
 */
export async function readFromDeployment(cluster: Cluster): Promise<Intent | undefined> {
  const { items: labelled } = await cluster.list('Deployment', { labelSelector: controllerSelector })
  const candidates =
    labelled.length > 0 ? labelled : (await cluster.list('Deployment')).items.filter(isControllerByName)
  for (const raw of candidates) {
    const { metadata } = shaped('a Deployment', deploymentSchema, raw)
    const text = metadata.annotations[unlockAnnotation]
    if (text !== undefined) return intentOn(refKey({ kind: 'Deployment', ...metadata }), text, cluster)
  }
  return undefined
}

/** A Deployment that was copied brings along an intent that is none of its own. */
function intentOn(deployment: string, text: string, cluster: Cluster): Intent {
  const where = `the annotation ${unlockAnnotation} of ${deployment} in ${cluster.name}`
  const intent = intentIn(text, where)
  if (intent.cluster !== cluster.name) throw new IntentUnreadable(where, 'it is that of another cluster')
  if (intent.deployment.object !== deployment) throw new IntentUnreadable(where, 'it is that of another Deployment')
  return intent
}

function unlockIn(text: string): string | undefined {
  try {
    return intentIn(text, '').unlock
  } catch {
    // It cannot be this one's: what was written can be read.
    return undefined
  }
}

function annotated(text: string | null, resourceVersion: string) {
  const annotations = { [unlockAnnotation]: text, ...(text === null && { [sealAnnotation]: null }) }
  return { body: { metadata: { annotations } }, resourceVersion }
}
