import { createHmac, randomUUID } from 'node:crypto'
import { EKSClient } from '@aws-sdk/client-eks'
import { type Fleet, parseFleet } from '../../functions/lib/fleet.ts'
import { eksClusters } from '../../functions/lib/kubernetes/eks.ts'
import type { LockAccess } from '../../functions/lib/locks/scan/lock-access.ts'
import { silentLog } from '../../functions/lib/log.ts'
import type { Rollout } from '../../functions/lib/rollout/rollout.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { type Host, startHost } from '../../infra/local/host.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { type LocalStates, startLocalStates } from '../../infra/local/local-states.ts'
import type { Outside } from '../../infra/local/notifications.ts'
import { type SimulatedCluster, type SimulatedFleet, startSimulatedFleet } from '../../infra/local/simulated-fleet.ts'
import { simulatedKinds } from '../../infra/local/simulation/kinds.ts'
import { statesEntered } from '../../infra/local/states/history.ts'
import { VirtualClock } from '../../infra/local/virtual-clock.ts'
import { head } from '../fixtures/raw-objects.ts'

const url = 'https://github.com/my-org/fleet-infra'
const secret = 'a secret of the tests'

export interface WorldOptions {
  readonly layers?: readonly string[]
  readonly holdFor?: string
  readonly deadlines?: object
  readonly ordering?: 'strict' | 'advisory'
  readonly clusters?: readonly object[]
  /** Default: main alone. All begin at the same commit. */
  readonly branches?: readonly string[]
  /** Keeps the host's data, so that it can be started again. */
  readonly directory?: string
  /** Section `locks` of the fleet. With it states are in S3 and DynamoDB, and locks are scanned for. */
  readonly locks?: object
  /** Section `plans` of the fleet. */
  readonly plans?: object
  /** Section `waves` of the fleet. */
  readonly waves?: object
  /** Section `notifications` of the fleet. */
  readonly notifications?: object
  /** Who is told, besides whoever sits at this machine. */
  readonly outside?: Outside
  /** What stands between Lockstep and the states and their locks. */
  readonly around?: (access: LockAccess) => LockAccess
}

/** How a rollout ended, and what its execution went through. */
export interface Ended {
  readonly status: string
  readonly error: string | undefined
  readonly states: readonly string[]
  readonly rollout: Rollout
}

/**
 * The whole local host under a clock that jumps: real HTTP between the functions and the stand-ins, real EKS
 * authentication, real state machines. One repository; `staging` alone unless clusters are given.
 */
export class World {
  /** Told of every world before it ends. */
  static readonly beforeClose = new Set<(world: World) => void>()
  readonly clock = new VirtualClock()
  readonly fleet: Fleet
  host!: Host
  simulated!: SimulatedFleet
  /** Where states and locks are; only with `locks`. */
  states: LocalStates | undefined
  private readonly options: WorldOptions
  private commits = 0
  /** The branch's head in Git. */
  commit = head('a')

  private constructor(options: WorldOptions) {
    this.options = options
    this.fleet = parseFleet({
      repositories: [{ name: 'my-org/fleet-infra', branches: options.branches ?? ['main'] }],
      layers: options.layers ?? ['network', 'database', 'addons', 'apps'],
      clusters: options.clusters ?? [
        {
          ...{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' },
          ordering: options.ordering ?? 'strict',
        },
      ],
      ...(options.deadlines && { deadlines: options.deadlines }),
      ...(options.holdFor && { holdFor: options.holdFor }),
      ...(options.locks && { locks: options.locks }),
      ...(options.plans && { plans: options.plans }),
      ...(options.waves && { waves: options.waves }),
      ...(options.notifications && { notifications: options.notifications }),
    })
  }

  /** Starts a world whose clusters all run `objects` at commit `a…a`, with `files` in Git. */
  static async start(
    objects: readonly object[],
    files: Readonly<Record<string, readonly object[]>> = {},
    options: WorldOptions = {},
  ): Promise<World> {
    const world = new World(options)
    const { clock, fleet } = world
    // While things start, real time passes that no activity accounts for: the clock must not jump over it.
    const started = clock.begin()
    if (options.locks) world.states = await startLocalStates({ clock, activity: clock })
    const openBackend = world.states?.openBackend
    world.simulated = await startSimulatedFleet({ fleet, clock, activity: clock, ...(openBackend && { openBackend }) })
    for (const branch of options.branches ?? ['main']) {
      world.simulated.git.commit(url, branch, world.commit, { write: files })
    }
    for (const { simulation } of world.simulated.clusters.values()) {
      simulation.load(structuredClone(objects) as KubernetesObject[])
      await simulation.loaded()
      simulation.start()
    }
    await world.startHost()
    started()
    return world
  }

  /** Ends the host as a SIGKILL would, but for the ports that it listens on. */
  async stopHost(): Promise<void> {
    const stopped = this.clock.begin()
    await this.host.close()
    stopped()
  }

  async startHost(): Promise<void> {
    const { clock, fleet, simulated } = this
    const { around = (access) => access } = this.options
    const started = clock.begin()
    const eksClient = (region: string) =>
      new EKSClient({ region, endpoint: simulated.eks.url, credentials: localCredentials })
    this.host = await startHost({
      ...{ fleet, clock, activity: clock, webhookSecret: secret, log: silentLog },
      clusters: eksClusters({ clock, fleet, eksClient }),
      ...(this.options.directory && { directory: this.options.directory }),
      ...(this.options.outside && { outside: this.options.outside }),
      ...(this.states && { locks: around(this.states.lockAccess(fleet.locks)) }),
    })
    started()
  }

  async close(): Promise<void> {
    for (const look of World.beforeClose) look(this)
    await this.host.close()
    await this.simulated.close()
    await this.states?.close()
    this.clock.stop()
  }

  cluster(name = 'staging'): SimulatedCluster {
    const cluster = this.simulated.clusters.get(name)
    if (!cluster) throw new Error(`there is no cluster ${name}`)
    return cluster
  }

  get simulation() {
    return this.cluster().simulation
  }

  /** A new commit at the head of main. */
  change(write: Readonly<Record<string, readonly object[]>> = {}, remove: readonly string[] = []): Pushed {
    const pushed = this.announce()
    this.land(pushed, write, remove)
    return pushed
  }

  /** The Git server serves a push. */
  land(
    { after }: Pushed,
    write: Readonly<Record<string, readonly object[]>> = {},
    remove: readonly string[] = [],
    branch = 'main',
  ): void {
    this.simulated.git.commit(url, branch, after, { write, remove })
  }

  /** A push that the Git server has taken, but that the replica which Flux reads from does not serve yet. */
  announce(): Pushed {
    const before = this.commit
    this.commits += 1
    this.commit = this.commits.toString(16).padStart(40, 'c')
    return { before, after: this.commit, pushedAt: Math.floor(this.clock.now() / 1000), delivery: randomUUID() }
  }

  /** GitHub's webhook for a push. Answers its HTTP status. */
  async deliver(pushed: Pushed, branch = 'main'): Promise<number> {
    const body = JSON.stringify({
      ref: `refs/heads/${branch}`,
      before: pushed.before,
      after: pushed.after,
      created: false,
      deleted: false,
      forced: false,
      repository: {
        ...{ name: 'fleet-infra', full_name: 'my-org/fleet-infra', html_url: 'https://github.com/my-org/fleet-infra' },
        ...{ pushed_at: pushed.pushedAt, owner: { login: 'my-org' }, clone_url: `${url}.git` },
      },
      pusher: { name: 'ana', email: 'ana@example.com' },
      head_commit: { id: pushed.after },
      commits: [],
    })
    const signature = createHmac('sha256', secret).update(body).digest('hex')
    const delivered = this.clock.begin()
    const response = await this.host.webhook({
      headers: {
        'x-github-event': 'push',
        'x-github-delivery': pushed.delivery,
        'x-hub-signature-256': `sha256=${signature}`,
        'content-type': 'application/json',
      },
      body,
      isBase64Encoded: false,
    })
    delivered()
    return response.statusCode
  }

  /** Commits, delivers the webhook, and waits for the rollout in `cluster` to end. */
  async push(write: Readonly<Record<string, readonly object[]>> = {}, cluster = 'staging'): Promise<Ended> {
    const pushed = this.change(write)
    await this.deliver(pushed)
    return this.ended(pushed, cluster)
  }

  executionArn({ delivery }: Pushed, cluster = 'staging'): string {
    return `arn:aws:states:us-east-1:000000000000:execution:rollout:${delivery}.${cluster}`
  }

  /** Does what talks to stand-ins over HTTP while time stands still: it must not jump over it. */
  async busy<T>(work: () => Promise<T>): Promise<T> {
    const done = this.clock.begin()
    try {
      return await work()
    } finally {
      done()
    }
  }

  /** Lets that many milliseconds pass. */
  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve))
  }

  /** Waits for a condition, looking at it whenever virtual time passes. */
  async until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
    for (let looks = 0; looks < 20_000; looks++) {
      const seen = await look()
      if (seen !== undefined && seen !== false) return seen
      // Closely at first, then further apart: a test may wait for a day.
      await new Promise<void>((resolve) => this.clock.after(looks < 600 ? 100 : 10_000, resolve))
    }
    throw new Error(`${what} did not come to pass`)
  }

  /** Waits until the rollout's execution is over. */
  async ended(pushed: Pushed, cluster = 'staging'): Promise<Ended> {
    const arn = this.executionArn(pushed, cluster)
    const described = await this.until(`the end of ${arn}`, () => {
      const execution = this.describe(arn)
      return execution && execution.status !== 'RUNNING' ? execution : undefined
    })
    return {
      status: described.status,
      error: described.error,
      states: statesEntered(this.host.interpreter.history(arn)),
      rollout: await this.rollout(pushed, cluster),
    }
  }

  describe(arn: string) {
    try {
      return this.host.interpreter.describe(arn)
    } catch {
      return undefined
    }
  }

  /** The rollout's record as it is in the ledger now. */
  async rollout({ delivery }: Pushed, cluster = 'staging'): Promise<Rollout> {
    const stored = await this.host.ledger.readRollout(`${delivery}.${cluster}`)
    if (!stored) throw new Error(`there is no rollout ${delivery}.${cluster}`)
    return stored.value
  }

  /** The state in which the rollout's execution is now. */
  state(pushed: Pushed, cluster = 'staging'): string | undefined {
    const arn = this.executionArn(pushed, cluster)
    return this.describe(arn) && statesEntered(this.host.interpreter.history(arn)).at(-1)
  }

  /** Waits until the execution has entered a state. */
  async reaches(pushed: Pushed, state: string, cluster = 'staging'): Promise<void> {
    await this.until(`state ${state}`, () => this.state(pushed, cluster) === state)
  }

  object(key: string, cluster = 'staging'): KubernetesObject {
    const [kind = '', namespace = '', name = ''] = key.split('/')
    const resource = Object.values(simulatedKinds).find((candidate) => candidate.kind === kind)
    const found = resource && this.cluster(cluster).simulation.store.get(resource, namespace, name)
    if (!found) throw new Error(`there is no ${key}`)
    return found
  }

  /** What a person does with the flux command: what kubectl sets is undone by the owner's next apply. */
  edit(key: string, change: (object: KubernetesObject) => void): void {
    const [kind = '', namespace = '', name = ''] = key.split('/')
    const resource = Object.values(simulatedKinds).find((candidate) => candidate.kind === kind)
    if (resource) this.simulation.store.update(resource, namespace, name, change, { manager: 'flux' })
  }

  remove(key: string): void {
    const [kind = '', namespace = '', name = ''] = key.split('/')
    const resource = Object.values(simulatedKinds).find((candidate) => candidate.kind === kind)
    if (resource) this.simulation.store.delete(resource, namespace, name)
  }

  /** Everything in the cluster that is suspended or carries a gate's mark. */
  leftovers(): string[] {
    const left: string[] = []
    for (const kind of ['Kustomization', 'HelmRelease', 'Terraform'] as const) {
      for (const { metadata, spec } of this.simulation.store.list(simulatedKinds[kind]).items) {
        const marked = metadata.annotations?.['lockstep.dev/gate'] !== undefined
        if (spec?.suspend || marked) left.push(`${kind}/${metadata.namespace}/${metadata.name}`)
      }
    }
    return left.sort()
  }

  /** Runs that controllers really made for a commit: key, start and end in virtual milliseconds. */
  runs(commit = this.commit) {
    return this.simulation.reconciles.filter(({ revision }) => revision?.endsWith(commit))
  }
}

export interface Pushed {
  readonly before: string
  readonly after: string
  /** Seconds since the epoch, as GitHub writes it. */
  readonly pushedAt: number
  readonly delivery: string
}
