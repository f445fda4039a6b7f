import type { KubernetesObject, StoreEvent } from '../../infra/local/kubernetes/object-store.ts'

/** What has become of an object, in a line for people; undefined where nothing that matters has changed. */
export function toldChange(key: string, { type, object, previous }: StoreEvent): string | undefined {
  const now = told(object)
  return type === 'MODIFIED' && previous && told(previous) === now ? undefined : `${type} ${key} ${now}`
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly message?: string
}

function told({ metadata, spec, status }: KubernetesObject): string {
  const conditions: readonly Condition[] = status?.conditions ?? []
  return JSON.stringify({
    ...{ suspend: spec?.suspend, replicas: spec?.replicas, tfstate: spec?.tfstate, holder: spec?.holderIdentity },
    annotations: Object.keys(metadata.annotations ?? {}),
    deleting: metadata.deletionTimestamp,
    conditions: conditions.map(({ type, status: value, message = '' }) => `${type}=${value} ${message}`),
    ...{ phase: status?.phase, plan: status?.plan?.pending, lock: status?.lock?.pending },
  })
}
