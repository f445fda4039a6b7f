import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type ObjectRef, refKey } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { RolloutView } from '../../../infra/local/views/rollout-view.ts'
import type { RunningCluster } from '../cluster/cluster.ts'
import { kinds } from '../cluster/kinds.ts'
import { type LayeredFleet, layeredFleet, layers } from './layered-fleet.ts'
import { type Commit, LockstepProcess } from './lockstep-process.ts'
import { isAtWork, isReadyAt, type Moment, Timeline } from './timeline.ts'

/** A push, and where the cluster stood before it. */
export interface Pushed extends Commit {
  /** Of the rollout. */
  readonly id: string
  readonly version: number
}

/**
 * Lockstep as a process on a real cluster, with the rights that it has in production; a namespace with a fleet of
 * five layers of its own, ready at its first commit; and eyes on everything that happens there.
 */
export class RolloutWorld {
  readonly cluster: RunningCluster
  readonly namespace: string
  readonly fleet: LayeredFleet
  readonly lockstep: LockstepProcess
  readonly timeline: Timeline
  readonly #repository: string
  #head = ''

  private constructor(
    parts: Pick<RolloutWorld, 'cluster' | 'namespace' | 'fleet' | 'lockstep' | 'timeline'> & { repository: string },
  ) {
    this.cluster = parts.cluster
    this.namespace = parts.namespace
    this.fleet = parts.fleet
    this.lockstep = parts.lockstep
    this.timeline = parts.timeline
    this.#repository = parts.repository
  }

  static async start(cluster: RunningCluster): Promise<RolloutWorld> {
    const name = `r${randomBytes(4).toString('hex')}`
    const repository = `my-org/${name}`
    const url = await cluster.git.createRepository(repository)
    await cluster.api.create({ ...kinds.Namespace, metadata: { name } })
    const fleet = layeredFleet({ namespace: name, url, kubeconfig: cluster.kubeconfigs.admin })
    const lockstep = await LockstepProcess.start({
      ...{ name: `lockstep-${name}`, directory: join(cluster.directory, name), guardian: cluster.guardian },
      ...{ kubeconfig: cluster.kubeconfigs.lockstep, repository, url, layers },
    })
    const timeline = new Timeline(cluster.api, name)
    const world = new RolloutWorld({ cluster, namespace: name, fleet, lockstep, timeline, repository })
    await world.#bootstrap()
    return world
  }

  get five(): readonly ObjectRef[] {
    const { root, vpc, db, ingress, app } = this.fleet
    return [root, vpc, db, ingress, app]
  }

  async #bootstrap(): Promise<void> {
    this.#head = await this.cluster.git.commit(this.#repository, 'main', { files: this.fleet.files })
    for (const object of this.fleet.roots) await this.cluster.api.apply(object as KubernetesObject)
    await this.settled(this.#head)
  }

  /** Waits until all five are ready at a commit, and their controllers are done with them. */
  async settled(commit: string, timeoutMs = 600_000): Promise<void> {
    await this.timeline.until(
      `all objects ready at ${commit.slice(0, 10)}`,
      () => {
        const objects = this.five.map((ref) => this.timeline.latest(ref))
        return objects.every((object) => object && isReadyAt(object, commit) && !isAtWork(object)) || undefined
      },
      timeoutMs,
    )
  }

  /** A commit that nobody is told of. */
  async commit(files: Record<string, string>, remove: readonly string[] = []): Promise<Commit> {
    const before = this.#head
    this.#head = await this.cluster.git.commit(this.#repository, 'main', { files, remove })
    return { before, after: this.#head }
  }

  /** A commit, and GitHub's webhook for it. */
  async push(files: Record<string, string>, remove: readonly string[] = []): Promise<Pushed> {
    const { version } = this.timeline
    const commit = await this.commit(files, remove)
    return { ...commit, version, id: await this.lockstep.push(commit) }
  }

  async pushToTheEnd(files: Record<string, string>): Promise<{ pushed: Pushed; rollout: RolloutView }> {
    const pushed = await this.push(files)
    return { pushed, rollout: await this.lockstep.ended(pushed.id) }
  }

  /** The moment at which an object was first ready at the push. */
  readyAt(ref: ObjectRef, { after, version }: Pushed): Moment | undefined {
    return this.timeline.of(ref, version).find(({ object }) => isReadyAt(object, after))
  }

  /** The moment at which its controller was first at work after the push. */
  startedAt(ref: ObjectRef, { version }: Pushed): Moment | undefined {
    return this.timeline.of(ref, version).find(({ object }) => isAtWork(object))
  }

  /** Asserts on what the controllers did: none began before the layer before it was ready at the commit. */
  expectStrictOrder(pushed: Pushed, sequence: readonly ObjectRef[] = this.five): void {
    const story = this.timeline.story(pushed.version)
    for (const [index, ref] of sequence.entries()) {
      const started = this.startedAt(ref, pushed)?.version
      expect(started, `${refKey(ref)} started\n${story}`).toBeDefined()
      expect(this.readyAt(ref, pushed), `${refKey(ref)} ready\n${story}`).toBeDefined()
      const before = sequence[index - 1]
      if (!before) continue
      const ready = this.readyAt(before, pushed)?.version
      expect(started, `${refKey(ref)} after ${refKey(before)}\n${story}`).toBeGreaterThan(
        ready ?? Number.POSITIVE_INFINITY,
      )
    }
  }

  /** Everything that is suspended or carries a gate's mark. */
  leftovers(): string[] {
    return this.timeline
      .workloads()
      .filter(({ metadata, spec }) => spec?.suspend || metadata.annotations?.['lockstep.dev/gate'] !== undefined)
      .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
  }

  /** As a person with kubectl. */
  async patch(ref: ObjectRef, body: object): Promise<void> {
    await this.cluster.api.patch({ ...kinds[ref.kind], namespace: ref.namespace, name: ref.name }, body)
  }

  async delete(ref: ObjectRef): Promise<void> {
    await this.cluster.api.delete({ ...kinds[ref.kind], namespace: ref.namespace, name: ref.name })
  }

  async close(): Promise<void> {
    await this.lockstep.stop()
    this.timeline.stop()
  }
}
