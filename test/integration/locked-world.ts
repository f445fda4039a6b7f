import type { Resource } from '../../functions/lib/kubernetes/cluster.ts'
import { type UnlockAsked, unlockRequest } from '../../functions/lib/unlock/run/unlock-request.ts'
import type { UnlockRun } from '../../functions/lib/unlock/run/unlock-run.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { simulatedKinds } from '../../infra/local/simulation/kinds.ts'
import { statesEntered } from '../../infra/local/states/history.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World, type WorldOptions } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')

export const minute = 60_000
export const table = 'dynamodb_table = "locks"'
export const lockfile = 'use_lockfile = true'

/** A Terraform object whose state is on S3, and its lock where `lines` of the backend say. */
export function onS3(name: string, lines: readonly string[], spec: object = {}): object {
  const place = `bucket = "states"\n key = "${name}/terraform.tfstate"\n region = "us-east-1"`
  const backend = `backend "s3" { ${[place, ...lines].join('\n')} }`
  // Retried seldom: time passes faster.
  return terraform(name, { retryInterval: '5m', backendConfig: { customConfiguration: backend }, ...spec })
}

export const keyOf = (name: string) => `Terraform/flux-system/${name}`

/** How an unlock ended, and what its execution went through. */
export interface EndedUnlock {
  readonly status: string
  readonly states: readonly string[]
  /** Retries count too. */
  readonly transitions: number
  readonly run: UnlockRun
}

/** A field of an object has got another value. */
export interface SeenChange {
  readonly object: string
  readonly field: 'suspend' | 'replicas'
  readonly value: unknown
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** A world of Terraform objects whose state locks are looked at every minute, and unlocked without asking anybody. */
export class LockedWorld {
  readonly world: World

  private constructor(world: World) {
    this.world = world
  }

  static async start(
    objects: readonly object[],
    options: WorldOptions & { readonly files?: Readonly<Record<string, readonly object[]>> } = {},
  ): Promise<LockedWorld> {
    const { files = {}, ...rest } = options
    const auto = { plan: 'auto', apply: 'auto' }
    const locks = {
      ...{ dynamodb: ['locks'], s3: ['states'], every: '1m', quietWindow: '2m' },
      ...{ minimumAge: { plan: '5m', apply: '5m' }, policy: { staging: auto } },
      ...rest.locks,
    }
    const source = gitRepository('https://github.com/my-org/fleet-infra')
    return new LockedWorld(await World.start([source, ...objects], files, { ...rest, locks }))
  }

  close(): Promise<void> {
    return this.world.close()
  }

  /** A new commit; an apply of each object begins, and none of them ends. */
  async applying(...names: readonly string[]): Promise<void> {
    const { simulation } = this.world
    for (const name of names) simulation.faults.hang(keyOf(name))
    this.world.change()
    simulation.overwriteToken('GitRepository/flux-system/fleet', this.world.commit)
    for (const name of names) await this.world.until(`the apply of ${name}`, () => this.message(name) === 'Applying')
  }

  /** Its runner is killed in the middle of an apply, and does not come back: nobody says anything any more. */
  async silentGhost(name: string): Promise<void> {
    await this.applying(name)
    this.world.simulation.killRunner(keyOf(name), 'fail')
    this.world.simulation.faults.release(keyOf(name))
  }

  /** Its runner is killed in the middle of an apply, and comes back: the controller meets the lock, and says so. */
  async loudGhost(name: string): Promise<void> {
    await this.applying(name)
    this.world.simulation.killRunner(keyOf(name), 'restart')
    this.world.simulation.faults.release(keyOf(name))
  }

  message(name: string): string | undefined {
    return this.ready(name)?.message
  }

  ready(name: string): { readonly status: string; readonly reason: string; readonly message: string } | undefined {
    const conditions: { type: string; status: string; reason: string; message: string }[] =
      this.world.object(keyOf(name)).status?.conditions ?? []
    return conditions.find(({ type }) => type === 'Ready')
  }

  /** The state of an object on S3, with its lock in the table. */
  stateOf(name: string) {
    const attributes = { bucket: 'states', key: `${name}/terraform.tfstate`, dynamodb_table: 'locks' }
    const state = this.world.states?.openBackend({ type: 'custom', name: 's3', workspace: 'default', attributes })
    if (!state) throw new Error('there are no states')
    return state
  }

  /** The latest observation of the lock of an object's state. */
  async observation(name: string) {
    const observations = await this.read(() => this.world.host.ledger.listObservations('staging'))
    return observations.find(({ evidence }) => evidence.owner?.object === keyOf(name))
  }

  verdict(name: string, verdict: string) {
    return this.until(`${name} to be ${verdict}`, async () => {
      const found = await this.observation(name)
      return found?.judgement.verdict === verdict ? found : undefined
    })
  }

  /** A person asks for the unlock of an object's state, whatever is thought of it. Answers the unlock's id. */
  async ask(name: string, over: Partial<UnlockAsked> = {}): Promise<string> {
    const found = await this.observation(name)
    const lock = found?.evidence.lock.record?.id ?? ''
    const asked = {
      place: found?.key ?? '',
      lock,
      cluster: 'staging',
      requestedBy: 'ana',
      reason: 'a test',
      attempt: 0,
    }
    const request = unlockRequest({ ...asked, ...over })
    this.world.host.interpreter.start({ machine: 'guarded-unlock', ...request })
    return request.name
  }

  /** Waits until a scan has one started. Answers its id. */
  begun(): Promise<string> {
    return this.until('an unlock', () => this.world.host.interpreter.list({ machine: 'guarded-unlock' })[0]?.name)
  }

  /** Resolves in the moment in which an unlock enters a state, with the unlock's id. Calls `act` before anything goes on. */
  enters(state: string, act: () => void = () => {}): Promise<string> {
    const { interpreter } = this.world.host
    return new Promise((resolve) => {
      const end = interpreter.onEvent((arn, { stateEnteredEventDetails }) => {
        if (!arn.includes(':guarded-unlock:') || stateEnteredEventDetails?.name !== state) return
        end()
        act()
        resolve(arn.slice(arn.lastIndexOf(':') + 1))
      })
    })
  }

  async ended(unlock: string): Promise<EndedUnlock> {
    const { status, transitions } = await this.until(`the end of unlock ${unlock}`, () => {
      const found = this.describe(unlock)
      return found?.status === 'RUNNING' ? undefined : found
    })
    const run = await this.run(unlock)
    return { status, transitions, states: this.states(unlock), run }
  }

  async run(unlock: string): Promise<UnlockRun> {
    const stored = await this.read(() => this.world.host.ledger.readUnlockRun(unlock))
    if (!stored) throw new Error(`there is no unlock ${unlock}`)
    return stored.value
  }

  arn(unlock: string): string {
    return `arn:aws:states:us-east-1:000000000000:execution:guarded-unlock:${unlock}`
  }

  states(unlock: string): string[] {
    return this.describe(unlock) ? statesEntered(this.world.host.interpreter.history(this.arn(unlock))) : []
  }

  /** All that an unlock may change, by object: replicas, suspend flags, marks, fields that force a lock open. */
  fields(): Record<string, object> {
    const { store } = this.world.simulation
    const { Kustomization, HelmRelease, Terraform } = simulatedKinds
    const objects = [Kustomization, HelmRelease, Terraform, builtinResources.Deployment].flatMap(
      (kind) => store.list(kind).items,
    )
    return Object.fromEntries(
      objects.map(({ kind, metadata, spec }) => {
        const marks = Object.entries(metadata.annotations ?? {}).filter(([name]) => name.startsWith('lockstep.dev/'))
        const { suspend, replicas, tfstate } = spec ?? {}
        return [`${kind}/${metadata.name}`, { suspend, replicas, tfstate, marks }]
      }),
    )
  }

  /** From now on: each value that a suspend flag or the controller's replicas get, when, by whomever. */
  changesSeen(): SeenChange[] {
    const { store } = this.world.simulation
    const seen: SeenChange[] = []
    const watch = (kind: Resource, field: 'suspend' | 'replicas') => {
      const keyOfObject = ({ metadata }: KubernetesObject) => `${kind.kind}/${metadata.namespace}/${metadata.name}`
      const last = new Map(store.list(kind).items.map((object) => [keyOfObject(object), object.spec?.[field]]))
      store.subscribe(kind, ({ object }) => {
        const key = keyOfObject(object)
        const value = object.spec?.[field]
        if (value === last.get(key)) return
        last.set(key, value)
        seen.push({ object: key, field, value, at: this.world.clock.now() })
      })
    }
    for (const kind of [simulatedKinds.Kustomization, simulatedKinds.Terraform]) watch(kind, 'suspend')
    watch(builtinResources.Deployment, 'replicas')
    return seen
  }

  deployment(): KubernetesObject | undefined {
    return this.world.simulation.store.get(builtinResources.Deployment, 'flux-system', 'tofu-controller')
  }

  /** What a person does with kubectl. */
  editDeployment(change: (object: KubernetesObject) => void): void {
    const { store } = this.world.simulation
    store.update(builtinResources.Deployment, 'flux-system', 'tofu-controller', change, { manager: 'kubectl' })
  }

  /** As `World.until`, for what comes to pass in minutes. */
  async until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
    for (let looks = 0; looks < 2_000; looks++) {
      const seen = await look()
      if (seen !== undefined) return seen
      await this.pass(5_000)
    }
    throw new Error(`${what} did not come to pass`)
  }

  /** Lets time pass. */
  pass(ms: number): Promise<void> {
    return this.world.pass(ms)
  }

  /** Time stands still while something is read for a test. */
  read<T>(work: () => Promise<T>): Promise<T> {
    return this.world.busy(work)
  }

  private describe(unlock: string) {
    return this.world.describe(this.arn(unlock))
  }
}
