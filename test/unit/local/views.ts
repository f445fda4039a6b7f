import type { Push } from '../../../functions/lib/push.ts'
import type { PushView } from '../../../infra/local/views/push-view.ts'
import type { LayerView, ObjectPhase, ObjectView, RolloutView } from '../../../infra/local/views/rollout-view.ts'

/** Fixed views of rollouts, for the tests of what is shown. */

export const push: Push = {
  repository: { name: 'my-org/fleet-infra', host: 'github.com' },
  branch: 'main',
  before: 'a'.repeat(40),
  after: 'b'.repeat(40),
  pushedAt: 1,
  pusher: 'ana',
  delivery: '00000000-0000-4000-8000-000000000000',
}

export const object = (name: string, phase: ObjectPhase, more: Partial<ObjectView> = {}): ObjectView => ({
  key: `Terraform/flux-system/${name}`,
  phase,
  detail: '',
  ...more,
})

export function layer(
  index: number,
  name: string,
  phase: ObjectPhase,
  objects: readonly ObjectView[],
  more: Partial<LayerView> = {},
): LayerView {
  const counts = { pending: 0, held: 0, open: 0, ready: 0, failed: 0, gone: 0 }
  for (const each of objects) counts[each.phase] += 1
  return { index, name, phase, counts, objects, ...more }
}

export const rollout = (more: Partial<RolloutView> = {}): RolloutView => ({
  id: `${push.delivery}.staging`,
  cluster: 'staging',
  execution: 'arn',
  state: 'WaitForLayer',
  status: 'running',
  repository: push.repository.name,
  branch: push.branch,
  commit: push.after,
  pusher: push.pusher,
  startedAt: 1_000,
  layers: [],
  notes: [],
  ...more,
})

export const pushView = (clusters: PushView['clusters'], more: Partial<PushView> = {}): PushView => ({
  push,
  clusters,
  waves: [],
  status: 'RUNNING',
  startedAt: 1_000,
  ...more,
})
