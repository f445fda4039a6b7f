import type { FindingEvent } from '../events.ts'
import type { FindingChange } from './sweep-record.ts'

/** The event that tells of a change, told by `execution` (an ARN). The same change always has the same id. */
export function findingEvent({ change, at: when, finding }: FindingChange, execution: string): FindingEvent {
  const { id, cluster, kind, object, since, text, next } = finding
  const at = new Date(when).toISOString()
  return {
    ...{ type: 'Finding Changed', version: 1, id: `${id}/${at}/${change}`, at, finding: id, what: change },
    ...{
      execution,
      cluster,
      kind,
      ...(object !== undefined && { object }),
      since: new Date(since).toISOString(),
      text,
      next,
    },
  }
}
