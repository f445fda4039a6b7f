import type { ServerResponse } from 'node:http'
import type { Clock } from '../../../functions/lib/clock.ts'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import type { Activity } from '../virtual-clock.ts'
import type { Fault } from './api-faults.ts'
import type { ApiRequest } from './api-request.ts'
import { statusOf } from './api-status.ts'
import { type ObjectSelector, objectSelector } from './object-selector.ts'
import { type KubernetesObject, type ObjectStore, StoreError, type StoreEvent } from './object-store.ts'

/** How often a watch gets a bookmark, as the real API server does it. */
const bookmarkMs = 60_000
/** How long before its end a watch gets its last bookmark. */
const lastBookmarkMs = 2000
/** How long a watch lasts that names no timeoutSeconds. The real one picks 30 to 60 minutes. */
const defaultTimeoutSeconds = 1800

interface Options {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly activity: Activity
  readonly request: ApiRequest
  readonly response: ServerResponse
  readonly fault: Fault | undefined
}

/**
 * Serves one watch until its time is over or the connection ends. Events come as lines of JSON: after
 * `resourceVersion`, or, with none or "0", the present objects as ADDED first. A version that is too old is an ERROR
 * event with code 410 in a stream that was answered with 200, as the real API server tells it.
 */
export function serveWatch({ store, clock, activity, request, response, fault }: Options): void {
  const { resource, query } = request
  const selects = objectSelector(query, request.namespace)
  const after = query.get('resourceVersion') ?? ''
  let eventsLeft = fault?.do === 'drop' ? (fault.afterEvents ?? 0) : Number.POSITIVE_INFINITY

  response.writeHead(200, { 'content-type': 'application/json' })
  response.flushHeaders()
  if (fault?.do === 'mute') return

  const write = (line: object) => {
    if (response.destroyed || response.writableEnded || eventsLeft <= 0) return
    eventsLeft--
    activity.touch()
    response.write(`${JSON.stringify(line)}\n`, () => {
      if (eventsLeft <= 0) response.destroy()
    })
  }
  const send = (event: StoreEvent) => {
    const seen = selected(event, selects)
    if (seen) write(seen)
  }

  const isNew = (event: StoreEvent) => Number(event.object.metadata.resourceVersion) > Number(after)
  const unsubscribe = store.subscribe(resource, (event) => {
    if (isNew(event)) send(event)
  })
  response.on('close', unsubscribe)

  try {
    for (const event of backlog(store, resource, after)) send(event)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    write({ type: 'ERROR', object: statusOf(error) })
    response.end()
    return
  }
  if (eventsLeft <= 0 && response.writableLength === 0) response.destroy()

  const bookmark = () => write({ type: 'BOOKMARK', object: bookmarkOf(resource, store.currentVersion()) })
  const lastsMs = Number(query.get('timeoutSeconds') ?? defaultTimeoutSeconds) * 1000
  const cancels = [clock.after(lastsMs, () => response.end())]
  if (query.get('allowWatchBookmarks') === 'true') {
    cancels.push(every(clock, bookmarkMs, bookmark))
    if (lastsMs > lastBookmarkMs) cancels.push(clock.after(lastsMs - lastBookmarkMs, bookmark))
  }
  response.on('close', () => {
    for (const cancel of cancels) cancel()
  })
}

function backlog(store: ObjectStore, resource: Resource, after: string): StoreEvent[] {
  if (after !== '' && after !== '0') return store.since(resource, after)
  return store.list(resource).items.map((object) => ({ type: 'ADDED', object }))
}

/** What a selective watch is told: an object that begins to match is ADDED, one that no longer matches DELETED. */
function selected(event: StoreEvent, selects: ObjectSelector): object | undefined {
  const { type, object, previous } = event
  const matches = selects(object)
  if (type !== 'MODIFIED' || !previous) return matches ? { type, object } : undefined
  const matched = selects(previous)
  if (matches) return { type: matched ? 'MODIFIED' : 'ADDED', object }
  return matched ? { type: 'DELETED', object: atVersionOf(object, previous) } : undefined
}

function atVersionOf(object: KubernetesObject, previous: KubernetesObject): KubernetesObject {
  const resourceVersion = object.metadata.resourceVersion as string
  return { ...previous, metadata: { ...previous.metadata, resourceVersion } }
}

function bookmarkOf(resource: Resource, resourceVersion: string): object {
  const apiVersion = resource.group ? `${resource.group}/${resource.version}` : resource.version
  return { kind: resource.kind, apiVersion, metadata: { resourceVersion, creationTimestamp: null } }
}

/** Calls `tick` every `ms` milliseconds until the returned function is called. */
function every(clock: Clock, ms: number, tick: () => void): () => void {
  let cancel = () => {}
  const arm = () => {
    cancel = clock.after(ms, () => {
      tick()
      arm()
    })
  }
  arm()
  return () => cancel()
}
