import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { EKSClient } from '@aws-sdk/client-eks'
import { STSClient } from '@aws-sdk/client-sts'
import { type Clock, sleep, systemClock } from '../../functions/lib/clock.ts'
import { LockstepError } from '../../functions/lib/errors.ts'
import type { Fleet, FleetCluster } from '../../functions/lib/fleet.ts'
import { fleetLocks } from '../../functions/lib/fleet-locks.ts'
import type { ClusterAccess } from '../../functions/lib/kubernetes/cluster-access.ts'
import { eksClusters } from '../../functions/lib/kubernetes/eks.ts'
import type { LockAccess } from '../../functions/lib/locks/scan/lock-access.ts'
import type { Log } from '../../functions/lib/log.ts'
import { requestRelease } from '../../functions/lib/rollout/request-release.ts'
import { preflight } from '../cluster/preflight.ts'
import { UsageError } from '../command-line.ts'
import { readFleet } from '../fleet.ts'
import { installQuickController, paceText, shownFleet } from './demo/demo-pace.ts'
import { NextPushes } from './demo/next-pushes.ts'
import { playScenes } from './demo/scenes.ts'
import { localCredentials } from './dynamodb.ts'
import { type EarlierRun, readEarlierRun } from './earlier-run.ts'
import { type Host, startHost, startSweep } from './host.ts'
import { type HttpServer, type HttpServerOptions, PortUnavailable, startHttpServer } from './http-server.ts'
import { kubeconfigClusters } from './kubernetes/kubeconfig-clusters.ts'
import { startLocalStates } from './local-states.ts'
import { outsideFrom } from './notifications.ts'
import type { Options } from './options.ts'
import { deliverPush, type PushFile, readPushFile } from './push-file.ts'
import {
  loadTree,
  localClusterRole,
  type SimulatedCluster,
  type SimulatedFleet,
  startSimulatedFleet,
} from './simulated-fleet.ts'
import { commitPush, withSimulatedPushes } from './simulated-pushes.ts'
import type { Tree } from './simulation/git-server.ts'
import { readManifestTree } from './simulation/manifest-tree.ts'
import { approvalNews } from './views/approval-news.ts'
import { findingNews } from './views/finding-news.ts'
import { FindingViews } from './views/finding-view.ts'
import { LiveRollouts } from './views/live-rollouts.ts'
import { lockNews } from './views/lock-news.ts'
import { LockViews } from './views/lock-view.ts'
import { PushTracker } from './views/push-tracker.ts'
import { type Display, hasSucceeded, type PushView } from './views/push-view.ts'
import { PushWaves } from './views/push-waves.ts'
import { UnlockNewsFeed } from './views/unlock-news.ts'
import { UnlockViews } from './views/unlock-view.ts'
import { noActivity, scaledClock } from './virtual-clock.ts'

export interface SessionOptions {
  readonly options: Options
  /** Made once the clock is known. */
  readonly display: (clock: Clock) => Display
  /** What GitHub signs with; undefined: nobody but this process can sign. */
  readonly webhookSecret: string | undefined
  /** Where the secrets are of whoever else is told what happens. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Who acts in the console. */
  readonly person: string
  /** Ends the session. */
  readonly signal: AbortSignal
}

/** Messages about these are for whoever sits here, too: somebody has to do something. */
const saidAtOnce: ReadonlySet<string> = new Set(['Rollout Held', 'Plan Approval Changed', 'Wave Approval Changed'])

/**
 * Runs the local host until `signal`, or until the rollout has ended where that was asked for. Answers the exit code:
 * 0, or 1 where the rollout did not succeed. Throws LockstepError when it cannot be set up as asked.
 */
export async function runSession(session: SessionOptions): Promise<number> {
  const { options, signal } = session
  const fleet = fleetOf(options)
  const earlier = options.data === undefined ? undefined : readEarlierRun(options.data)
  const push = readPush(options, earlier)
  const clock = options.kubeconfig === undefined ? simulatedClock(options.speed, earlier) : systemClock
  const secret = session.webhookSecret ?? randomBytes(32).toString('hex')
  const display = session.display(clock)

  const closing: (() => Promise<void> | void)[] = [() => display.close()]
  try {
    const end = whenAborted(signal)
    const say = (line: string) => display.say(line)
    const world = await startWorld(options, { fleet, clock, push, earlier, say, end })
    closing.push(world.close)
    if (signal.aborted) return options.once ? 1 : 0
    const log = warningsTo(display)
    const { leftOut, ...outside } = outsideFrom(fleet, session.environment, { clock })
    for (const left of leftOut) display.say(`Nothing is told to ${left}.`)
    const host = await startHost({
      outside,
      ...{
        fleet,
        clock,
        log,
        activity: noActivity,
        webhookSecret: secret,
        clusters: world.clusters,
        locks: world.locks,
        sweeps: true,
      },
      ...(options.data !== undefined && { directory: options.data }),
    })
    closing.push(() => host.close())
    const { interpreter, ledger } = host
    host.events.onLock((event) => {
      const news = lockNews(event)
      if (news !== undefined) display.say(news)
    })
    host.messages.onMessage(({ type, title, next }) => {
      if (saidAtOnce.has(type)) display.say(`${title}. ${next}`)
    })
    const feed = new UnlockNewsFeed({
      interpreter,
      ledger,
      events: host.events,
      onNews: (news) => display.unlock(news),
    })
    closing.push(() => feed.close())
    host.events.onEvent((event) => {
      if (event.type === 'Finding Changed') display.say(findingNews(event))
    })
    const sweep = (cluster: string) => startSweep(interpreter, cluster)
    const findings = new FindingViews({ ledger, fleet, sweep })
    const locks = new LockViews({ ledger: host.ledger, fleet, clock })
    const unlocks = new UnlockViews({ ledger, fleet, clusters: world.clusters })
    const live = new LiveRollouts({ interpreter, ledger, clock, clusters: world.clusters })
    closing.push(() => live.close())
    const webhook = world.git ? withSimulatedPushes(host.webhook, { git: world.git, fleet, secret }) : host.webhook
    const waves = new PushWaves({ interpreter, fleet })
    const server = await listen(options, display, {
      ...{
        webhook,
        live,
        waves,
        interpreter,
        ledger,
        locks,
        unlocks,
        findings,
        clock,
        speed: options.speed,
        person: session.person,
      },
      ...host.unlockRoutes,
    })
    closing.push(() => server.close())
    const told = new Set<string>()
    host.approvers.onMessage((message) => {
      const news = approvalNews(message, server.url)
      // Each of several people has got one.
      if (!told.has(news)) display.say(news)
      told.add(news)
    })

    const concluded = conclusions(display)
    const tracker = new PushTracker({ interpreter, live, waves, display: concluded.display })
    closing.push(() => tracker.close())
    display.ready({
      url: server.url,
      clusters: fleet.clusters.map(({ name }) => name),
      ...(world.git && { speed: options.speed }),
    })
    if (world.git && earlier?.pushes.some(({ running }) => running)) {
      display.say('The simulated clusters are new: the rollouts of the earlier run go on in these.')
    }
    if (options.once) releaseWhatIsHeld(live, host, clock)
    const delivery = push && (await send(push, server, secret))
    if (options.once && delivery !== undefined) {
      const view = await Promise.race([concluded.of(delivery), end])
      if (view) return hasSucceeded(view) ? 0 : 1
    } else {
      if (session.webhookSecret === undefined) {
        display.say('Set LOCKSTEP_WEBHOOK_SECRET to let GitHub, or anybody else, sign deliveries.')
      }
      display.say('Serving until Ctrl-C.')
      const { staging } = world
      if (options.demo && staging && push && delivery !== undefined) {
        display.say(paceText(fleet, options.speed))
        const pushes = new NextPushes(push.body, clock)
        const pushNext = () => send(pushes.next(), server, secret)
        const scenes = concluded.of(delivery).then(() =>
          playScenes({
            ...{ host, fleet, cluster: staging, clock, speed: options.speed, say, pushNext, signal },
            ...{ concluded: concluded.of, person: session.person },
          }),
        )
        // Ended in the middle of a scene.
        scenes.catch((error: Error) => signal.aborted || display.say(`The demo ends here: ${error.message}`))
      }
      await end
    }
    if (options.kubeconfig !== undefined && options.data === undefined) await abandon(host, fleet, clock, display)
    return options.once ? 1 : 0
  } finally {
    for (const close of closing.reverse()) await close()
  }
}

/** The push to send. What an earlier run has begun goes on by itself. */
function readPush({ push, pushGiven, once }: Options, earlier: EarlierRun | undefined): PushFile | undefined {
  if (push === undefined) return undefined
  return earlier?.pushes.length && !pushGiven && !once ? undefined : readPushFile(resolve(push))
}

function simulatedClock(speed: number, earlier: EarlierRun | undefined): Clock {
  return scaledClock(speed, Math.max(Date.now(), earlier?.latest ?? 0))
}

/** A kubeconfig reaches one cluster: which of the fleet's it is must be clear. */
function narrowed(fleet: Fleet, { cluster: wanted, context }: Options): Fleet {
  const isNamed = ({ name, eks }: FleetCluster) => context === name || context === eks || context?.endsWith(`/${eks}`)
  const [cluster, other] = fleet.clusters.filter(
    (each) => fleet.clusters.length === 1 || (wanted === undefined ? isNamed(each) : each.name === wanted),
  )
  if (cluster && !other) return { ...fleet, clusters: [{ ...cluster, after: [] }] }
  const names = fleet.clusters.map(({ name }) => name).join(', ')
  throw new UsageError(
    wanted === undefined
      ? `The fleet has several clusters: say with --cluster which one the kubeconfig reaches (${names}).`
      : `The fleet has no cluster ${wanted}; it has ${names}.`,
  )
}

/** As it is written; narrowed to what a kubeconfig reaches, or made quick to be watched. */
function fleetOf(options: Options): Fleet {
  const written = readFleet(resolve(options.fleet)).fleet
  if (options.kubeconfig !== undefined) return narrowed(written, options)
  return options.demo ? shownFleet(written, options.speed) : written
}

interface World {
  readonly clusters: ClusterAccess
  readonly locks: LockAccess
  /** Of a simulation. */
  readonly git: SimulatedFleet['git'] | undefined
  /** Of a simulation: the first cluster, in which a demo plays. */
  readonly staging?: SimulatedCluster | undefined
  readonly close: () => Promise<void>
}

interface WorldOptions {
  readonly fleet: Fleet
  readonly clock: Clock
  readonly push: PushFile | undefined
  readonly earlier: EarlierRun | undefined
  /** Takes a line for the person at the terminal. */
  readonly say: (line: string) => void
  /** Resolves when nobody waits any more. */
  readonly end: Promise<undefined>
}

/** The simulated clusters have been there for a while: so have their states. In milliseconds. */
const statesAge = 24 * 3_600_000

async function startWorld(options: Options, worldOptions: WorldOptions): Promise<World> {
  const { fleet, clock, push, earlier } = worldOptions
  if (options.kubeconfig !== undefined) return reachWorld(options.kubeconfig, options.context, worldOptions)
  const tree = await readTree(options.manifests)
  const states = await startLocalStates({
    ...{ clock, activity: noActivity },
    buckets: fleet.locks.s3.map(({ bucket }) => bucket),
    tables: fleet.locks.dynamodb.map(({ table }) => table),
    past: statesAge,
  })
  const { openBackend } = states
  const simulated = await startSimulatedFleet({ fleet, clock, activity: noActivity, openBackend })
  await loadTree(simulated, fleet, tree, headOf(push, earlier))
  states.catchUp()
  for (const { push: begun } of earlier?.pushes ?? []) commitPush(simulated.git, begun)
  for (const { simulation } of simulated.clusters.values()) {
    if (options.demo) installQuickController(simulation.store, options.speed)
    simulation.start()
  }
  const clusters = eksClusters({
    ...{ clock, fleet, role: { arn: localClusterRole, sessionName: 'local-host' } },
    eksClient: (region, own) =>
      new EKSClient({ region, endpoint: simulated.eks.url, credentials: localCredentials, ...own }),
    stsClient: () => new STSClient({ region: 'us-east-1', endpoint: simulated.sts.url, credentials: localCredentials }),
  })
  const close = async () => {
    await simulated.close()
    await states.close()
  }
  const [staging] = simulated.clusters.values()
  return { clusters, locks: states.lockAccess(fleet.locks), git: simulated.git, staging, close }
}

/** The cluster of the kubeconfig, once it has shown that Lockstep can work with it. */
async function reachWorld(
  file: string,
  context: string | undefined,
  { fleet, clock, say, end }: WorldOptions,
): Promise<World> {
  const clusters = kubeconfigClusters({ clock, file: resolve(file), ...(context !== undefined && { context }) })
  for (const { name } of fleet.clusters) {
    // One that does not answer must not keep whoever has given up.
    await Promise.race([preflight({ client: await clusters.connect(name), clock, say }), end])
  }
  return { clusters, locks: fleetLocks(fleet), git: undefined, close: async () => {} }
}

async function readTree(directory: string): Promise<Tree> {
  const tree = await readManifestTree(resolve(directory)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === undefined) throw error
    throw new LockstepError(
      'ManifestsUnreadable',
      `${directory} cannot be read (${error.code}).`,
      'Give a directory with YAML files with --manifests.',
    )
  })
  if (tree.size > 0) return tree
  throw new LockstepError('ManifestsMissing', `${directory} has no YAML files.`, 'Give another one with --manifests.')
}

/** A commit for clusters that nobody has pushed to. */
const firstCommit = '1'.padStart(40, '0')

/** Where the simulated clusters stand: where the earlier run left them, or where the push begins. */
function headOf(push: PushFile | undefined, earlier: EarlierRun | undefined): string {
  const last = earlier?.pushes.at(-1)
  const before = last ? (last.running ? last.push.before : last.push.after) : push?.before
  return before === undefined || /^0+$/.test(before) ? firstCommit : before
}

/** The port that was asked for, or where none was, another one if the usual one is taken. */
async function listen(
  { port, portIsDefault }: Options,
  display: Display,
  options: Omit<HttpServerOptions, 'port'>,
): Promise<HttpServer> {
  try {
    return await startHttpServer({ ...options, port })
  } catch (error) {
    if (!(error instanceof PortUnavailable) || !portIsDefault) throw error
    const server = await startHttpServer({ ...options, port: 0 })
    display.say(`Port ${port} is in use: ${server.port} is taken instead.`)
    return server
  }
}

/** Answers the name of the fleet's execution. Throws PushNotStarted. */
async function send(push: Pick<PushFile, 'body'>, server: HttpServer, secret: string): Promise<string> {
  const { status, execution, reason } = await deliverPush(`${server.url}/webhook`, push.body, secret)
  if (execution !== undefined) return execution
  throw new LockstepError('PushNotStarted', `The push starts no rollout (${status}): ${reason}`, 'Correct --push.')
}

/** Scans come again and again: each warning is told once. */
function warningsTo(display: Display): Log {
  const told = new Set<string>()
  return {
    info: () => {},
    warn: (message, fields = {}) => {
      const details = Object.entries(fields).map(([name, value]) => `${name}=${value}`)
      const line = ['warning:', message, ...details].join(' ')
      if (told.has(line)) return
      told.add(line)
      display.say(line)
    },
  }
}

/** Lets somebody wait for the end of a push while the display is told of it. */
function conclusions(display: Display): { display: Display; of(delivery: string): Promise<PushView> } {
  const ended = new Map<string, PushView>()
  const waiting = new Map<string, (view: PushView) => void>()
  return {
    display: {
      ready: (notice) => display.ready(notice),
      say: (line) => display.say(line),
      unlock: (news) => display.unlock(news),
      show: (pushes) => display.show(pushes),
      close: () => display.close(),
      conclude: (view) => {
        display.conclude(view)
        ended.set(view.push.delivery, view)
        waiting.get(view.push.delivery)?.(view)
      },
    },
    of: (delivery) =>
      new Promise((done) => {
        const view = ended.get(delivery)
        if (view) done(view)
        else waiting.set(delivery, done)
      }),
  }
}

/** How long a failed object may take to recover when nobody is there to decide. */
const patienceMs = 2 * 60_000

/** Nobody is there to decide about what is held: after a while it is released, and the rollout ends. */
function releaseWhatIsHeld(live: LiveRollouts, { ledger }: Host, clock: Clock): void {
  const waiting = new Set<string>()
  const release = async (id: string) => {
    waiting.delete(id)
    const stored = live.get(id)?.status === 'held' ? await ledger.readRollout(id) : undefined
    if (stored) await requestRelease(stored.value, '--once', { ledger, clock })
  }
  live.onChange(({ rollouts }) => {
    for (const id of rollouts) {
      if (waiting.has(id) || live.get(id)?.status !== 'held') continue
      waiting.add(id)
      // A rollout that has ended meanwhile has nothing to release.
      clock.after(patienceMs, () => void release(id).catch(() => {}))
    }
  })
}

const restorePauseMs = 200
const longestRestoreMs = 30_000

/**
 * Nothing is kept, so nobody could open a real cluster's gates later: rollouts are aborted, and what every abort
 * starts (functions/restore) opens them now.
 */
async function abandon({ interpreter, ledger }: Host, fleet: Fleet, clock: Clock, display: Display): Promise<void> {
  const running = interpreter.list({ status: 'RUNNING' }).filter(({ machine }) => machine !== 'lock-scan')
  if (running.length === 0) return
  display.say('Rollouts are aborted, and their gates opened. Ctrl-C again leaves them closed.')
  const cause = 'The local host was ended.'
  for (const { executionArn } of running) interpreter.stop(executionArn, { error: 'Stopped', cause })
  const giveUpAt = clock.now() + longestRestoreMs
  for (const { name } of fleet.clusters) {
    while (clock.now() < giveUpAt && (await ledger.listClaims(name)).some(({ holder }) => holder)) {
      await sleep(clock, restorePauseMs)
    }
  }
}

function whenAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((done) => {
    if (signal.aborted) done(undefined)
    signal.addEventListener('abort', () => done(undefined), { once: true })
  })
}
