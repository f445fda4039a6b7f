import type { WaveApproval } from '../approval/approval.ts'
import { toldEnding } from '../approval/told-ending.ts'
import type { WaveEvent } from '../events.ts'

/** So many clusters are named. */
const mostNamed = 10

/** What people are asked about a wave, or what has come of it: the same thing always has the same id. */
export function waveEvent(approval: WaveApproval): WaveEvent {
  const { id, execution, push, wave, waves, clusters, clusterCount, before, askedAt, expiresAt, closed } = approval
  const what = closed === undefined ? 'asked' : toldEnding[closed.how]
  const by = approval.decisions.map((decision) => decision.by).join(', ')
  return {
    ...{ type: 'Wave Approval Changed', version: 1, id: `${id}/${askedAt}/${what}` },
    ...{ at: new Date(closed?.at ?? askedAt).toISOString(), what, execution, delivery: push.delivery },
    repository: `${push.repository.host}/${push.repository.name}`,
    ...{ branch: push.branch, commit: push.after, pusher: push.pusher, wave, waves, clusters: clusterCount },
    ...{ names: clusters.slice(0, mostNamed), before },
    ...(closed && by !== '' && { by }),
    ...(closed === undefined && { until: new Date(expiresAt).toISOString() }),
  }
}
