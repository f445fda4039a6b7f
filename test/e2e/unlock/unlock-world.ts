import { setTimeout as pause } from 'node:timers/promises'
import { type ObjectRef, refKey } from '../../../functions/lib/kubernetes/cluster.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { unlockRequest } from '../../../functions/lib/unlock/run/unlock-request.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import type { Host } from '../../../infra/local/host.ts'
import { statesEntered } from '../../../infra/local/states/history.ts'
import { conditionOf } from '../../contracts/controller-driver.ts'
import { appliedAt, type DrivenState, tofuFleet } from '../../contracts/tofu-driver.ts'
import { ApiRefused } from '../cluster/api.ts'
import type { RunningCluster } from '../cluster/cluster.ts'
import { kinds } from '../cluster/kinds.ts'
import { deploymentKey } from '../cluster/tofu-controller-deployment.ts'
import { RealTofuDriver } from '../tofu/real-tofu-driver.ts'
import type { Backend, StateStores } from './state-stores.ts'

/** For what hangs, and not for how long things take. */
const patienceMs = 600_000

/** What an unlock may change for a while, and nobody else in these tests. */
export interface Standing {
  readonly replicas: number
  /** What the unlock writes down on the Deployment. */
  readonly intent: string | undefined
  /** Of each object, by its name. */
  readonly suspended: Readonly<Record<string, boolean>>
  /** The lock that the object's controller is to force open. */
  readonly tfstate: object | undefined
}

/** What an unlock is about. */
export interface Looks {
  readonly standing: Standing
  readonly state: DrivenState | undefined
  /** As it is stored. */
  readonly lock: string | undefined
}

export interface SilentGhost {
  readonly run: UnlockRun
  readonly revision: string
  readonly before: Looks
}

/** One object with its state in one place, on a real cluster; and Lockstep, which looks for dead locks and unlocks them. */
export class UnlockWorld {
  readonly cluster: RunningCluster
  readonly driver: RealTofuDriver
  readonly vpc: ObjectRef
  readonly key: string
  readonly #stores: StateStores
  readonly #backend: Backend
  readonly #fleet: ReturnType<typeof tofuFleet>

  private constructor(cluster: RunningCluster, driver: RealTofuDriver, stores: StateStores, backend: Backend) {
    this.cluster = cluster
    this.driver = driver
    this.#stores = stores
    this.#backend = backend
    this.#fleet = tofuFleet(driver)
    this.vpc = this.#fleet.vpc
    this.key = refKey(this.vpc)
  }

  /** The object is applied once, and another one that it has nothing to do with; nothing works on them. */
  static async start(cluster: RunningCluster, stores: StateStores, backend: Backend): Promise<UnlockWorld> {
    const world = new UnlockWorld(cluster, await RealTofuDriver.start(cluster), stores, backend)
    const { db, terraform, brisk, applied } = world.#fleet
    const revision = await applied({ ...brisk, ...stores.specOf(backend, world.vpc) })
    await world.driver.apply(terraform(db.name, brisk))
    await world.driver.until(db, appliedAt(revision))
    return world
  }

  /** Pushes a change, and waits until its apply, which takes that long, holds the lock. Answers the revision. */
  async applying(seconds: number): Promise<string> {
    const revision = await this.driver.pushApply(this.vpc, seconds)
    await this.driver.request(this.#fleet.source, revision)
    await this.driver.until(this.vpc, (object) => conditionOf(object, 'Apply')?.message === 'Apply started')
    await eventually(
      'the lock of the apply',
      async () => (await this.lock())?.includes('OperationTypeApply') || undefined,
    )
    return revision
  }

  lock(): Promise<string | undefined> {
    return this.#stores.lock(this.#backend, this.vpc, this.driver)
  }

  state(): Promise<DrivenState | undefined> {
    return this.#stores.state(this.#backend, this.vpc, this.driver)
  }

  async looks(): Promise<Looks> {
    return { standing: await this.standing(), state: await this.state(), lock: await this.lock() }
  }

  async standing(): Promise<Standing> {
    const { api } = this.cluster
    const { spec, metadata } = await api.get(deploymentKey)
    const objects = await api.list(kinds.Terraform, { namespace: this.driver.namespace })
    const vpc = await this.driver.get(this.vpc)
    return {
      replicas: spec?.replicas,
      intent: metadata.annotations?.['lockstep.dev/unlock'],
      suspended: Object.fromEntries(objects.map((each) => [each.metadata.name, each.spec?.suspend === true])),
      tfstate: (vpc as { spec?: { tfstate?: object } } | undefined)?.spec?.tfstate,
    }
  }

  /** What Lockstep thinks of the lock, once that is a verdict that `holds`. */
  observed({ ledger }: Host, holds: (observation: Observation) => boolean): Promise<Observation> {
    return eventually('the verdict', async () => {
      const all = await ledger.listObservations()
      const own = all.find(({ evidence }) => evidence.owner?.object === this.key)
      return own && holds(own) ? own : undefined
    })
  }

  /** A person asks. Answers the run when it is over. */
  async ask(host: Host, { key: place, evidence }: Observation, attempt = 0): Promise<UnlockRun> {
    const asked = { place, lock: evidence.lock.record?.id ?? '', cluster: 'staging' }
    const request = unlockRequest({ ...asked, requestedBy: 'ana', reason: 'it is in my way', attempt })
    const { executionArn } = host.interpreter.start({ machine: 'guarded-unlock', ...request })
    await host.interpreter.finished(executionArn)
    const run = await host.ledger.readUnlockRun(request.name)
    if (!run) throw new Error(`nothing is known of unlock ${request.name}`)
    return run.value
  }

  /** The unlock of the object's lock, as soon as it has begun; ones that have ended do not count. */
  begun({ ledger }: Host): Promise<UnlockRun> {
    return eventually('an unlock', async () => {
      const runs = await ledger.listUnlockRuns('staging', 20)
      const isOwn = ({ object, begunAt, outcome }: UnlockRun) =>
        object === this.key && begunAt !== undefined && outcome === undefined
      return runs.find(isOwn)
    })
  }

  /**
   * The unlock of a silent ghost, as soon as it has begun, the revision whose apply was killed, and how all looked before it. On a machine that is
   * busy beyond measure the controller may hear of its runner's death after all: then the ghost is a loud one, which is
   * unlocked without stopping anything. That is waited for, and another one made, three times at most.
   */
  async silentGhost(host: Host, applySeconds: number): Promise<SilentGhost> {
    for (let tries = 1; ; tries++) {
      const before = await this.looks()
      const revision = await this.applying(applySeconds)
      await this.driver.killRunner(this.vpc, 'fail')
      const run = await this.begun(host)
      if (run.rung === 'quiesce') return { run, revision, before }
      const story = await this.story(host, await this.ended(host, run))
      process.stdout.write(`The ghost of ${this.key} was no silent one:\n${story}\n`)
      if (tries === 3) throw new Error(`${this.key} was no silent ghost, ${tries} times:\n${story}`)
      await this.driver.until(this.vpc, appliedAt(revision))
    }
  }

  /** Waits until the unlock's execution has entered a state. Rejects where it ends without. */
  async entered(host: Host, run: UnlockRun, state: string): Promise<void> {
    await eventually(state, async () => {
      const states = statesOf(host, run.unlock)
      if (states.includes(state)) return true
      if (states.includes('Outcome')) throw new Error(`${state} was not entered:\n${await this.story(host, run)}`)
      return undefined
    })
  }

  /** Waits for the end of an unlock. */
  async ended(host: Host, { unlock }: UnlockRun): Promise<UnlockRun> {
    return eventually('the end of the unlock', async () => {
      const run = (await host.ledger.readUnlockRun(unlock))?.value
      return run?.outcome === undefined ? undefined : run
    })
  }

  /** What an unlock went through, for messages. */
  async story(host: Host, { unlock, ...run }: UnlockRun): Promise<string> {
    const audit = await host.ledger.listAudit(unlock)
    const { outcome, why, rung } = run
    return [
      JSON.stringify({ unlock, rung, outcome, why }),
      statesOf(host, unlock).join(' '),
      ...audit.map(
        ({ at, what, detail }) => `${new Date(at).toISOString()} ${what} ${JSON.stringify(detail).slice(0, 400)}`,
      ),
      ...(await this.#managers()),
    ].join('\n')
  }

  /** One that was started again has lost what its runs hung in. */
  async #managers(): Promise<string[]> {
    const pods = (await this.cluster.tofu?.faults.managerPods()) ?? []
    return [
      ...pods.map(({ metadata, status }) => {
        const [{ restartCount, lastState } = {}] = status?.containerStatuses ?? []
        return `${metadata.name}: restarts ${restartCount}, before that ${JSON.stringify(lastState)}`
      }),
      (await this.cluster.tofu?.faults.managerTail()) ?? '',
    ]
  }

  /** Its objects go at once: a controller that has lost their source would work on their deletion for ever. */
  async stop(): Promise<void> {
    const { api } = this.cluster
    for (const { metadata } of await api.list(kinds.Terraform, { namespace: this.driver.namespace })) {
      const key = { ...kinds.Terraform, namespace: this.driver.namespace, name: metadata.name }
      await api.delete(key)
      // There is none any more where the controller was quicker.
      if (await api.find(key)) await api.patch(key, { metadata: { finalizers: null } }).catch(ignoreMissing)
    }
    await this.driver.stop()
  }
}

/** The states that the execution of an unlock has entered so far. */
export function statesOf({ interpreter }: Host, unlock: string): string[] {
  const found = interpreter.list({ machine: 'guarded-unlock' }).find(({ name }) => name === unlock)
  return found ? statesEntered(interpreter.history(found.executionArn)) : []
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof ApiRefused && error.status === 404)) throw error
}

/** The first answer of `look` that is not undefined. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const giveUpAt = Date.now() + patienceMs; ; await pause(100)) {
    const seen = await look()
    if (seen !== undefined) return seen
    if (Date.now() > giveUpAt) throw new Error(`${what}: not seen within ${patienceMs / 1_000} s`)
  }
}
