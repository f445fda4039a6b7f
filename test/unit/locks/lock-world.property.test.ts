import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Look, PodEvidence } from '../../../functions/lib/locks/evidence.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { nextObservation, withSight } from '../../../functions/lib/locks/scan/remember.ts'
import { judge, type Verdict } from '../../../functions/lib/locks/verdict/verdict.ts'
import { limits, minute, taken } from '../../fixtures/lock-evidence.ts'

/**
 * A runner that holds a lock, its pods and two nodes, over hours: what really is, and what the API shows of it. Times are
 * true ones; what a node says is by its own clock.
 */
class LockWorld {
  now = taken
  private readonly skew: Readonly<Record<Node, number>>
  private readonly store: 'dynamodb' | 's3' | 'kubernetes'
  private readonly silent = new Set<Node>()
  private readonly existing = new Set<Node>(['node-1', 'node-2'])
  private pod: Pod | undefined
  private pods = 0
  private writes = 1
  private controllers = 1
  /** The process with the lock. */
  private holder: { readonly pod: Pod; alive: boolean }

  constructor({ skew, store, begunBefore, lostAtOnce }: Beginning) {
    this.skew = skew
    this.store = store
    this.pod = this.newPod('node-1', taken - begunBefore)
    this.holder = { pod: this.pod, alive: true }
    if (!lostAtOnce) return
    for (const what of ['node-1 falls silent', 'pod deleted by force', 'new pod'] as const) {
      this.now += 20_000
      this.happen(what)
    }
  }

  get isAlive(): boolean {
    return this.holder.alive
  }

  /** Something happens, if it can. */
  happen(what: Happening): void {
    switch (what) {
      case 'state written':
        if (this.holder.alive) this.writes++
        return
      case 'controller dies':
        this.controllers = 0
        return
      case 'controller returns':
        this.controllers = 1
        return
      case 'node-1 falls silent':
        this.silent.add('node-1')
        return
      case 'node-2 falls silent':
        this.silent.add('node-2')
        return
      case 'node-2 answers again':
        this.silent.delete('node-2')
        return
      case 'pod deleted by force':
        // A kubelet that hears of it ends the process: that is `kill`'s.
        if (this.pod && (this.pod !== this.holder.pod || this.silent.has(this.pod.node))) this.pod = undefined
        return
      case 'new pod':
        if (!this.pod && this.controllers > 0) this.pod = this.newPod('node-2', this.now)
        return
      case 'new pod restarts':
        if (this.pod && this.pod !== this.holder.pod && !this.silent.has(this.pod.node)) this.restart(this.pod)
        return
      case 'new pod fails':
        if (this.pod && this.pod !== this.holder.pod && !this.silent.has(this.pod.node)) this.pod.phase = 'Failed'
        return
    }
  }

  /** The end of whoever holds the lock; nobody releases it. */
  kill(how: Death): void {
    const { pod } = this
    this.silent.clear()
    this.holder.alive = false
    // A later run meets the lock and ends, and its pod with it.
    if (pod !== this.holder.pod) this.pod = undefined
    if (!pod || pod !== this.holder.pod) return
    if (how === 'container restarted') this.restart(pod)
    if (how === 'pod failed') pod.phase = 'Failed'
    if (how === 'pod gone') this.pod = undefined
    if (how === 'node gone') {
      this.existing.delete(pod.node)
      this.pod = undefined
    }
  }

  /** What a scan sees, but for the pieces that it could not read. */
  look(unread: readonly string[]): Look {
    const piece = <T>(name: string, value: T) => ({
      ...{ source: name, readAt: this.now },
      reading: unread.includes(name) ? { unknown: 'was not answered' } : { value },
    })
    const own = this.pod && { name: this.pod.node, state: this.stateOf(this.pod.node) }
    const takenAt = { dynamodb: undefined, s3: taken, kubernetes: wholeSeconds(taken) }[this.store]
    const createdAt = taken + this.skew['node-1']
    return {
      at: this.now,
      lock: {
        parts: [{ store: this.store, address: 'there', version: 'v', ...(takenAt !== undefined && { takenAt }) }],
        record: {
          ...{ id: 'the-lock', operation: 'OperationTypeApply', user: 'runner', host: 'vpc-tf-runner' },
          ...{ version: '1.12.1', path: '', created: new Date(createdAt).toISOString(), createdAt },
        },
      },
      owner: { cluster: 'staging', object: 'Terraform/flux-system/vpc' },
      holder: { runner: 'flux-system/vpc-tf-runner' },
      pod: piece<PodEvidence>('pod', this.pod ? this.pod.evidence : { exists: false }),
      nodes: piece('nodes', {
        total: this.existing.size,
        ...(own && { own }),
        silent: [...this.silent].map((name) => ({ name, createdAt: taken - 86_400_000 })),
      }),
      controller: piece('controller', { replicas: 1, ready: this.controllers, pods: [] }),
      object: piece('object', {
        ...{ exists: true as const, suspended: false, ready: 'Unknown' as const, reason: 'Progressing' },
        ...{ message: 'Applying', reconciling: true, stateLocked: false },
      }),
      state: piece('state', { exists: true as const, version: `${this.writes}`, sizeBytes: 1 }),
    }
  }

  private newPod(node: Node, createdAt: number): Pod {
    return new Pod(`pod-${++this.pods}`, node, createdAt, createdAt + 2_000 + this.skew[node])
  }

  private restart(pod: Pod): void {
    pod.restart(this.now + this.skew[pod.node])
    if (pod === this.holder.pod) this.holder.alive = false
  }

  private stateOf(node: Node): 'ready' | 'not ready' | 'gone' {
    if (!this.existing.has(node)) return 'gone'
    return this.silent.has(node) ? 'not ready' : 'ready'
  }
}

type Node = 'node-1' | 'node-2'

class Pod {
  phase = 'Running'
  readonly node: Node
  private readonly uid: string
  private readonly createdAt: number
  private startedAt: number
  private finishedAt: number | undefined
  private restarts = 0

  constructor(uid: string, node: Node, createdAt: number, startedAt: number) {
    this.uid = uid
    this.node = node
    this.createdAt = createdAt
    this.startedAt = startedAt
  }

  restart(at: number): void {
    this.finishedAt = at
    this.startedAt = at + 1_000
    this.restarts++
  }

  get evidence(): PodEvidence {
    const running = this.phase === 'Running'
    const { finishedAt = this.startedAt, restarts } = this
    return {
      ...{ exists: true, uid: this.uid, createdAt: wholeSeconds(this.createdAt), phase: this.phase, node: this.node },
      container: {
        ...{ id: `${this.uid}-${restarts}`, restarts },
        ...(running
          ? { state: 'running', startedAt: wholeSeconds(this.startedAt) }
          : { state: 'terminated', finishedAt: wholeSeconds(finishedAt) }),
      },
    }
  }
}

const wholeSeconds = (time: number) => Math.floor(time / 1_000) * 1_000

/** Looks at the world again and again, as scans do: each knows what the one before has found. */
class Scans {
  private last: Observation | undefined

  look(world: LockWorld, unread: readonly string[] = []): Verdict {
    const evidence = withSight(world.look(unread), world.now, this.last, limits.quietWindow)
    const judgement = judge(evidence, limits)
    const verdict = { key: 'place', cluster: 'staging', evidence, judgement, at: world.now }
    this.last = nextObservation(verdict, this.last)
    return judgement.verdict
  }
}

const happenings = [
  ...['state written', 'controller dies', 'controller returns', 'node-1 falls silent', 'node-2 falls silent'],
  ...['node-2 answers again', 'pod deleted by force', 'new pod', 'new pod restarts', 'new pod fails'],
] as const
type Happening = (typeof happenings)[number]
const deaths = ['container restarted', 'pod failed', 'pod gone', 'node gone'] as const
type Death = (typeof deaths)[number]

interface Beginning {
  readonly skew: Readonly<Record<Node, number>>
  readonly store: 'dynamodb' | 's3' | 'kubernetes'
  /** How long before the lock its pod was created. */
  readonly begunBefore: number
  /** Its node fell silent and its pod was replaced before any scan. */
  readonly lostAtOnce: boolean
}

const skewed = fc.integer({ min: -10 * minute, max: 10 * minute })
const beginning: fc.Arbitrary<Beginning> = fc.record({
  skew: fc.record({ 'node-1': skewed, 'node-2': skewed }),
  store: fc.constantFrom('dynamodb', 's3', 'kubernetes'),
  begunBefore: fc.integer({ min: 3_000, max: 30 * minute }),
  lostAtOnce: fc.boolean(),
})

const unread = fc.subarray(['pod', 'nodes', 'controller', 'object', 'state'], { minLength: 1, maxLength: 2 })
/** What comes next, how long after what was before. */
const step = fc.record({
  after: fc.integer({ min: 1_000, max: 6 * minute }),
  what: fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...happenings) },
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: unread },
  ),
})
const steps = fc.array(step, { minLength: 5, maxLength: 120, size: 'max' })

describe('over hours, with clocks up to 10 minutes off', () => {
  it('a holder that lives is never stale', () => {
    fc.assert(
      fc.property(beginning, steps, (begin, story) => {
        const world = new LockWorld(begin)
        const scans = new Scans()
        for (const { after, what } of story) {
          world.now += after
          if (typeof what === 'string') world.happen(what)
          else if (world.isAlive) expect(scans.look(world, what)).not.toBe('stale')
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('a holder that is dead is stale in the end', () => {
    fc.assert(
      fc.property(beginning, steps, fc.constantFrom(...deaths), (begin, story, death) => {
        const world = new LockWorld(begin)
        const scans = new Scans()
        for (const { after, what } of story) {
          world.now += after
          if (typeof what !== 'string') scans.look(world, what)
          else if (!what.startsWith('new pod')) world.happen(what)
        }
        world.now += minute
        world.kill(death)
        const seen = Array.from({ length: 60 }, () => {
          world.now += 2 * minute
          return scans.look(world)
        })
        expect(seen.at(-1)).toBe('stale')
      }),
      { numRuns: 500 },
    )
  })

  it('in the stories holders live on without their pod, and behind others that fail', () => {
    const shown = { running: 0, gone: 0, another: 0, failed: 0 }
    for (const [begin, story] of fc.sample(fc.tuple(beginning, steps), 1_000)) {
      const world = new LockWorld(begin)
      for (const { after, what } of story) {
        world.now += after
        if (typeof what === 'string') world.happen(what)
      }
      const { reading } = world.look([]).pod
      const pod = 'value' in reading ? reading.value : undefined
      if (!pod?.exists) shown.gone++
      else if (pod.uid === 'pod-1') shown.running++
      else if (pod.phase === 'Failed') shown.failed++
      else shown.another++
    }
    for (const [what, times] of Object.entries(shown)) expect(times, what).toBeGreaterThan(30)
  })
})
