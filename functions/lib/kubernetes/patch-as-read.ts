import { type AnyKind, type Cluster, ClusterError, type ObjectRef, type Subresource } from './cluster.ts'
import { getIfThere } from './get-if-there.ts'

/** A controller writes an object a few times a second at most: so many losses in a row are not chance. */
const mostTries = 5

/** What to make of an object as it was read, and of which version; without `body` it is left alone. */
export interface Decision<Answer> {
  readonly answer: Answer
  readonly patch?: { readonly body: object; readonly resourceVersion: string; readonly subresource?: Subresource }
}

/**
 * Reads an object, decides, and patches just what was read: when somebody else has written in between it is read again and
 * decided anew. `decide` gets undefined where there is no such object. Answers the last decision's answer. Rejects with
 * ClusterError, ClusterConflict among them when others write all the time.
 */
export async function patchAsRead<Answer>(
  cluster: Cluster,
  ref: ObjectRef<AnyKind>,
  decide: (raw: unknown) => Decision<Answer> | Promise<Decision<Answer>>,
): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const { answer, patch } = await decide(await getIfThere(cluster, ref))
    if (!patch) return answer
    const { body, resourceVersion, subresource } = patch
    try {
      await cluster.patch(ref, { type: 'merge', body, resourceVersion }, subresource ? { subresource } : {})
      return answer
    } catch (error) {
      const hasMoved = error instanceof ClusterError && ['ClusterConflict', 'ClusterNotFound'].includes(error.name)
      if (!hasMoved || tries >= mostTries) throw error
    }
  }
}
