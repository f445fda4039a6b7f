import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { type Api, ApiRefused, keyOf, keyText } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'
import { statusAt } from './every-kind.ts'

/**
 * All controllers in one, as far as the API shows them: a GitRepository serves its branch's head once it is asked to,
 * and what is not suspended is soon ready at what the GitRepository of its namespace serves.
 */
export class ObedientControllers {
  private readonly api: Api
  private readonly ending = new AbortController()
  private readonly heads = new Map<string, string>()
  private readonly served = new Map<string, string>()
  private readonly held = new Map<string, Promise<void>>()
  private readonly following: Promise<void>[]
  private readonly working = new Set<Promise<void>>()

  constructor(api: Api) {
    this.api = api
    this.following = Object.values(resources).map(({ kind }) => this.follow(kind))
  }

  /** Puts objects there as if they had been reconciled at `commit`. */
  async bootstrap(namespace: string, objects: readonly KubernetesObject[], commit: string): Promise<void> {
    this.heads.set(namespace, commit)
    this.served.set(namespace, commit)
    const create = async (object: KubernetesObject) => this.reconcile(await this.api.create(object), commit)
    await Promise.all(objects.map(create))
  }

  /** An object is not reconciled before `until` resolves. */
  hold(namespace: string, name: string, until: Promise<void>): void {
    this.held.set(`${namespace}/${name}`, until)
  }

  /** The head of a namespace's branch moves. */
  push(namespace: string, commit: string): void {
    this.heads.set(namespace, commit)
  }

  async end(): Promise<void> {
    this.ending.abort()
    await Promise.all([...this.following, ...this.working])
  }

  private async follow(kind: keyof typeof resources): Promise<void> {
    const { signal } = this.ending
    for await (const { type, object } of this.api.follow(kinds[kind], { signal })) {
      if (type === 'DELETED') continue
      const work = this.work(object).finally(() => this.working.delete(work))
      this.working.add(work)
    }
  }

  private async work(object: KubernetesObject): Promise<void> {
    const { namespace = '', annotations } = object.metadata
    const isAsked = annotations?.['reconcile.fluxcd.io/requestedAt'] !== object.status?.lastHandledReconcileAt
    if (object.kind === 'GitRepository' && isAsked) {
      const head = this.heads.get(namespace) ?? ''
      this.served.set(namespace, head)
      await this.reconcile(object, head)
      // Whatever it feeds is told by its artifact.
      for (const { kind } of Object.values(resources)) {
        for (const fed of await this.api.list(kinds[kind], { namespace })) await this.catchUp(fed)
      }
    } else {
      await this.held.get(`${namespace}/${object.metadata.name}`)
      await this.catchUp(await this.api.find(keyOf(object)))
    }
  }

  private async catchUp(object: KubernetesObject | undefined): Promise<void> {
    const commit = this.served.get(object?.metadata.namespace ?? '')
    if (!object || commit === undefined || object.spec?.suspend || object.kind === 'GitRepository') return
    const { status } = statusAt(object, commit) as { status: { lastHandledReconcileAt?: string } }
    const [condition] = object.status?.conditions ?? []
    const isDone =
      condition?.message === `at ${commit}` &&
      object.status?.observedGeneration === object.metadata.generation &&
      object.status?.lastHandledReconcileAt === status.lastHandledReconcileAt
    if (!isDone) await this.reconcile(object, commit)
  }

  private async reconcile(object: KubernetesObject, commit: string): Promise<void> {
    try {
      await this.api.patch(keyOf(object), statusAt(object, commit), { subresource: 'status' })
    } catch (error) {
      // A test that is over takes its objects along.
      if (error instanceof ApiRefused && error.status === 404) return
      throw new Error(`${keyText(keyOf(object))} could not be reconciled`, { cause: error })
    }
  }
}
