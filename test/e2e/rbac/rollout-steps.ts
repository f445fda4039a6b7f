import { createHash, randomUUID } from 'node:crypto'
import { step as claim } from '../../../functions/claim/handler.ts'
import { step as fetch } from '../../../functions/fetch/handler.ts'
import { step as gate } from '../../../functions/gate/handler.ts'
import { systemClock } from '../../../functions/lib/clock.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import { type Fleet, parseFleet } from '../../../functions/lib/fleet.ts'
import type { Cluster, Kind, ObjectRef } from '../../../functions/lib/kubernetes/cluster.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { Push } from '../../../functions/lib/push.ts'
import { bindStep, type ClusterPorts } from '../../../functions/lib/step.ts'
import { step as open } from '../../../functions/open/handler.ts'
import { step as plan } from '../../../functions/plan/handler.ts'
import { step as release } from '../../../functions/release/handler.ts'
import { step as report } from '../../../functions/report/handler.ts'
import { step as restore } from '../../../functions/restore/handler.ts'
import { step as wait } from '../../../functions/wait/handler.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { type Api, keyOf } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'
import { BusyCluster } from './busy-cluster.ts'
import { type EveryKind, everyKind, layers } from './every-kind.ts'
import { lookAtLocks } from './look-at-locks.ts'
import type { ObedientControllers } from './obedient-controllers.ts'
import { unlockInCluster } from './unlock-in-cluster.ts'

const clusterName = 'staging'

const steps = { claim, plan, gate, fetch, open, wait, report, release, restore }
/** `look` is what a scan of locks reads, `unlock` what a guarded unlock changes. */
export type StepName = keyof typeof steps | 'look' | 'unlock'

/** A step that failed: the rollout ends there. */
export class StepFailed extends Error {
  readonly step: StepName
  override readonly cause: Error

  constructor(step: StepName, cause: Error) {
    super(`Step ${step} failed: ${cause.message}`)
    this.step = step
    this.cause = cause
  }
}

export interface RolloutStepsOptions {
  /** As Lockstep. */
  readonly cluster: Cluster
  /** As admin. */
  readonly api: Api
  readonly controllers: ObedientControllers
}

/**
 * What a rollout does in a cluster where others are at work as well, on an object of every kind: the real steps, in the
 * order of the state machine.
 */
export class RolloutSteps {
  private readonly options: RolloutStepsOptions
  private readonly fleet: Fleet
  private readonly ports: ClusterPorts
  private readonly world: EveryKind
  private head = ''
  private setEnded = () => {}
  private readonly ended = new Promise<void>((resolve) => {
    this.setEnded = resolve
  })

  private constructor(options: RolloutStepsOptions, world: EveryKind) {
    this.options = options
    this.world = world
    this.fleet = parseFleet({
      ...{ repositories: [{ name: world.repository, branches: ['main'] }], layers },
      clusters: [{ name: clusterName, eks: clusterName, region: 'us-east-1', environment: 'staging' }],
    })
    const cluster = new BusyCluster({ ...options, example: (kind) => this.example(kind) })
    // Waiting must not be over before every watch has been of use.
    options.controllers.hold(world.namespace, 'apps', Promise.race([cluster.heardAll, this.ended]))
    this.ports = {
      ...{ fleet: this.fleet, clock: systemClock, ledger: new MemoryLedger(), log: silentLog, sliceMs: 20_000 },
      ...{ events: silentEvents, metrics: silentMetrics },
      clusters: { connect: async () => cluster },
    }
  }

  /** With objects in a namespace of its own, reconciled at a first commit. */
  static async start(options: RolloutStepsOptions): Promise<RolloutSteps> {
    const steps = new RolloutSteps(options, everyKind(`every-kind-${randomUUID().slice(0, 8)}`))
    const { namespace, objects } = steps.world
    steps.head = commitAfter(namespace)
    await options.api.create({ ...kinds.Namespace, metadata: { name: namespace } })
    await options.controllers.bootstrap(namespace, objects, steps.head)
    return steps
  }

  /**
   * A push that is rolled out, a second one whose rollout is aborted and restored, a look at the locks, and an unlock.
   * Throws StepFailed.
   */
  async run(): Promise<void> {
    await this.rollOut()
    await this.abort()
    const { cluster, api } = this.options
    const { namespace } = this.world
    await failingAs('look', () => lookAtLocks({ cluster, api, namespace }))
    await failingAs('unlock', () => unlockInCluster({ cluster, api, namespace }))
  }

  /** Everything that is suspended or carries a gate's mark. */
  async leftovers(): Promise<string[]> {
    const { namespace } = this.world
    const lists = await Promise.all(
      [kinds.Kustomization, kinds.HelmRelease, kinds.Terraform].map((kind) =>
        this.options.api.list(kind, { namespace }),
      ),
    )
    const isLeft = ({ spec, metadata }: (typeof lists)[number][number]) =>
      spec?.suspend === true || metadata.annotations?.['lockstep.dev/gate'] !== undefined
    return lists
      .flat()
      .filter(isLeft)
      .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
  }

  async end(): Promise<void> {
    this.setEnded()
    await Promise.all(this.world.objects.map((object) => this.options.api.delete(keyOf(object))))
  }

  private example(wanted: Kind): ObjectRef {
    const { namespace, objects } = this.world
    const name = objects.find(({ kind }) => kind === wanted)?.metadata.name ?? ''
    return { kind: wanted, namespace, name }
  }

  private async rollOut(): Promise<void> {
    const { ids } = await this.begin()
    await this.do('fetch', ids)
    for (let next = 'OpenLayer'; next !== 'Report'; ) {
      if (next === 'PlanAgain') await this.do('plan', { ...ids, again: true })
      if (next !== 'WaitForLayer') await this.do('open', ids)
      next = ((await this.do('wait', ids)) as { next: string }).next
    }
    const { outcome, failure } = (await this.do('report', ids)) as { outcome: string; failure?: string }
    if (outcome !== 'succeeded') throw new StepFailed('report', new Error(`The rollout has ${outcome}: ${failure}`))
    await this.do('release', ids)
  }

  private async abort(): Promise<void> {
    const { ids } = await this.begin()
    await this.do('restore', { detail: { name: ids.rollout, status: 'ABORTED' } })
  }

  /** A push, up to the point where everything behind the first layer is held. */
  private async begin(): Promise<{ ids: { rollout: string; cluster: string } }> {
    const push = this.push()
    const rollout = `${push.delivery}.${clusterName}`
    const ids = { rollout, cluster: clusterName }
    await this.do('claim', {
      ...ids,
      push,
      execution: `arn:aws:states:us-east-1:000000000000:execution:rollout:${rollout}`,
    })
    await this.do('plan', ids)
    await this.do('gate', ids)
    return { ids }
  }

  private push(): Push {
    const before = this.head
    this.head = commitAfter(before)
    this.options.controllers.push(this.world.namespace, this.head)
    return {
      ...{ repository: { name: this.world.repository, host: 'github.com' }, branch: 'main' },
      ...{ before, after: this.head, pusher: 'ana', delivery: randomUUID() },
      pushedAt: Math.floor(Date.now() / 1000) * 1000,
    }
  }

  private do(name: keyof typeof steps, input: object): Promise<unknown> {
    // Each of them is bound by its own types.
    const step = steps[name] as typeof plan
    return failingAs(name, () => bindStep(step, () => this.ports)(input))
  }
}

async function failingAs<T>(name: StepName, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new StepFailed(name, error instanceof Error ? error : new Error(String(error)))
  }
}

function commitAfter(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}
