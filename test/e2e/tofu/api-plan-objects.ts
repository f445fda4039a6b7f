import type { PlanObjects } from '../../../infra/local/simulation/tofu/plan-store.ts'
import type { Api } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'

/** Those of a real API server. */
export function apiPlanObjects(api: Api): PlanObjects {
  return {
    find: (kind, namespace, name) => api.find({ ...kinds[kind], namespace, name }),
    create: async (_, object) => void (await api.create(object)),
    delete: async (kind, namespace, name) => void (await api.delete({ ...kinds[kind], namespace, name })),
  }
}
