import type { IncomingMessage } from 'node:http'
import { type Answer, isRead, json, Refused } from './http-answer.ts'
import type { FindingViews } from './views/finding-view.ts'

/** `GET /api/findings`, and `POST /api/findings/<cluster>`: has the cluster swept now. */
export async function findingRoute(
  request: IncomingMessage,
  names: readonly string[],
  findings: FindingViews,
  time: object,
): Promise<Answer> {
  const [cluster, ...more] = names
  if (more.length > 0) throw new Refused(404, 'There is nothing here.')
  if (cluster === undefined) {
    if (!isRead(request)) throw new Refused(405, 'Findings can only be read.')
    return json(200, { ...time, ...(await findings.list()) })
  }
  if (request.method !== 'POST') throw new Refused(405, 'A sweep is started by POST.')
  const execution = findings.sweep(cluster)
  if (execution === undefined) throw new Refused(404, `The fleet has no cluster ${cluster}.`)
  return json(202, { ...time, execution })
}
