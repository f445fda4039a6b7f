import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { ExecutionAlreadyExists, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { approve } from '../../functions/approve/approve.ts'
import { step as claim } from '../../functions/claim/handler.ts'
import { step as fetch } from '../../functions/fetch/handler.ts'
import { step as gate } from '../../functions/gate/handler.ts'
import { step as hold } from '../../functions/hold/handler.ts'
import { step as judge } from '../../functions/judge/handler.ts'
import { step as judgeOthers } from '../../functions/judge-others/handler.ts'
import type { Clock } from '../../functions/lib/clock.ts'
import type { Fleet } from '../../functions/lib/fleet.ts'
import type { ClusterAccess } from '../../functions/lib/kubernetes/cluster-access.ts'
import { DynamoDbLedger } from '../../functions/lib/ledger/dynamodb-ledger.ts'
import { type Ledger, LedgerUnavailable } from '../../functions/lib/ledger/ledger.ts'
import type { LockAccess } from '../../functions/lib/locks/scan/lock-access.ts'
import { noStateOf } from '../../functions/lib/locks/states/state-reader.ts'
import type { Log } from '../../functions/lib/log.ts'
import { silentMetrics } from '../../functions/lib/metrics.ts'
import type { Push } from '../../functions/lib/push.ts'
import {
  type ApprovalPorts,
  bindStep,
  type Invocation,
  type LockPorts,
  type WavePorts,
} from '../../functions/lib/step.ts'
import { S3WaveStore } from '../../functions/lib/waves/s3-wave-store.ts'
import type { WaveStore } from '../../functions/lib/waves/wave-store.ts'
import { step as open } from '../../functions/open/handler.ts'
import { step as plan } from '../../functions/plan/handler.ts'
import { step as planApprove } from '../../functions/plan-approve/handler.ts'
import { step as planAsk } from '../../functions/plan-ask/handler.ts'
import { step as release } from '../../functions/release/handler.ts'
import { step as report } from '../../functions/report/handler.ts'
import { step as restore } from '../../functions/restore/handler.ts'
import { step as stopAsking } from '../../functions/stop-asking/handler.ts'
import { step as sweepCluster } from '../../functions/sweep-cluster/handler.ts'
import { step as unlockAct } from '../../functions/unlock-act/handler.ts'
import { step as unlockAsk } from '../../functions/unlock-ask/handler.ts'
import { step as unlockAssess } from '../../functions/unlock-assess/handler.ts'
import { step as unlockBackUp } from '../../functions/unlock-back-up/handler.ts'
import { step as unlockBegin } from '../../functions/unlock-begin/handler.ts'
import { step as unlockConclude } from '../../functions/unlock-conclude/handler.ts'
import { step as unlockDelete } from '../../functions/unlock-delete/handler.ts'
import { step as unlockFence } from '../../functions/unlock-fence/handler.ts'
import { step as unlockPutBack } from '../../functions/unlock-put-back/handler.ts'
import { step as unlockVerify } from '../../functions/unlock-verify/handler.ts'
import { step as unlockWatch } from '../../functions/unlock-watch/handler.ts'
import { step as wait } from '../../functions/wait/handler.ts'
import { step as waveAsk } from '../../functions/wave-ask/handler.ts'
import { step as waveConclude } from '../../functions/wave-conclude/handler.ts'
import { step as planWave } from '../../functions/waves/handler.ts'
import type { WebhookRequest } from '../../functions/webhook/delivery.ts'
import { type WebhookResponse, webhook } from '../../functions/webhook/webhook.ts'
import { localCredentials, startDynamoDb } from './dynamodb.ts'
import { InterpreterTaskTokens } from './interpreter-task-tokens.ts'
import { MemoryApprovers } from './memory-approvers.ts'
import { MemoryEvents } from './memory-events.ts'
import { MemoryMessages } from './memory-messages.ts'
import { Notifications, nobodyOutside, type Outside } from './notifications.ts'
import { startS3 } from './s3/s3-server.ts'
import { startSchedule } from './schedule.ts'
import { type Definition, loadDefinition } from './states/definition.ts'
import { DirectoryExecutionStore } from './states/directory-execution-store.ts'
import { MemoryExecutionStore } from './states/execution-store.ts'
import { Interpreter } from './states/interpreter.ts'
import { S3ObjectFiles } from './states/s3-object-files.ts'
import { startStepFunctionsServer } from './states/step-functions-server.ts'
import type { UnlockRoutes } from './unlock-routes.ts'
import { ApprovalViews, approvalPath } from './views/approval-view.ts'
import { UnlockRuns } from './views/unlock-run-view.ts'
import type { Activity } from './virtual-clock.ts'
import { type BadEnd, Watchdog } from './watchdog.ts'

const account = '000000000000'
const region = 'us-east-1'
const table = 'lockstep-ledger'
const auditTable = 'lockstep-audit'
const wavesBucket = 'lockstep-waves'

/** Where the state machines lie, from this file. */
const statemachines = new URL('../../statemachines/', import.meta.url)

export interface HostOptions {
  readonly fleet: Fleet
  readonly clusters: ClusterAccess
  readonly clock: Clock
  readonly activity: Activity
  /** What GitHub signs deliveries with. */
  readonly webhookSecret: string
  readonly log: Log
  /** Keeps the ledger and the executions; without it they live in memory. */
  readonly directory?: string
  /** Default: ten minutes, as in Lambda. */
  readonly sliceMs?: number
  /** Where the fleet's locks are. Without it nobody looks for any. */
  readonly locks?: LockAccess
  /** Who is told what happens, beside whoever sits at this machine. */
  readonly outside?: Outside
  /** Has each cluster swept as often as the fleet says. */
  readonly sweeps?: boolean
}

/** Lockstep without an AWS account: its functions and state machines, with stand-ins around them. */
export interface Host {
  readonly ledger: Ledger
  readonly waves: WaveStore
  readonly interpreter: Interpreter
  /** What EventBridge would get. */
  readonly events: MemoryEvents
  /** What people are told of it. */
  readonly messages: MemoryMessages
  /** Tells what people are asked. Links are paths of the console. */
  readonly approvers: MemoryApprovers
  /** What people do about unlocks, over HTTP. */
  readonly unlockRoutes: UnlockRoutes
  /** Endpoint for @aws-sdk/client-sfn. */
  readonly stepFunctionsUrl: string
  /** The webhook function, as API Gateway calls it. */
  readonly webhook: (request: WebhookRequest) => Promise<WebhookResponse>
  close(): Promise<void>
}

/** Starts the host. Executions of an earlier run over the same directory go on where they were. */
export async function startHost(options: HostOptions): Promise<Host> {
  const { fleet, clock, activity, directory, log } = options
  if (directory) mkdirSync(directory, { recursive: true })
  const tables = [table, auditTable]
  const dynamodb = await startDynamoDb({ activity, tables, ...(directory && { directory: join(directory, 'ledger') }) })
  const client = new DynamoDBClient({ endpoint: dynamodb.url, region, credentials: localCredentials })
  const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } })
  const s3Server = await startS3({ clock, activity, ...(directory && { directory: join(directory, 's3') }) })
  const s3 = new S3Client({ endpoint: s3Server.url, forcePathStyle: true, region, credentials: localCredentials })
  await s3.send(new CreateBucketCommand({ Bucket: wavesBucket }))
  const closing = new AbortController()
  const ledger = untilClosed(new DynamoDbLedger({ client: documents, table, auditTable, clock }), closing.signal)
  const events = new MemoryEvents()
  const approvers = new MemoryApprovers()
  // An earlier run's links are not good any more: the console has new ones.
  const linkSecret = { current: randomBytes(32).toString('hex') }
  const linkSecrets = async () => linkSecret
  const waves: WaveStore = new S3WaveStore({ client: s3, bucket: wavesBucket })
  const ports = {
    ...{ fleet, clock, ledger, clusters: options.clusters, log, sliceMs: options.sliceMs ?? 10 * 60_000 },
    ...{ locks: options.locks ?? noLocks, events, metrics: silentMetrics },
    ...{ approvers, linkSecrets, approvalUrl: approvalPath, tasks: new InterpreterTaskTokens(() => interpreter) },
    waves,
  }

  const interpreter: Interpreter = new Interpreter({
    clock,
    activity,
    account,
    region,
    machines: readMachines(),
    handlers: handlersOf(ports),
    objects: new S3ObjectFiles(s3),
    store: directory ? new DirectoryExecutionStore(join(directory, 'executions')) : new MemoryExecutionStore(),
  })
  const watching = { clock, activity, log, signal: closing.signal }
  const rollouts = new Watchdog({ ...watching, restore: bindStep(restore, () => ports) })
  const unlocks = new Watchdog({ ...watching, restore: bindStep(unlockWatch, () => ports) })
  const questions = new Watchdog({ ...watching, restore: bindStep(stopAsking, () => ports) })
  // What the EventBridge rules do on AWS (infra/aws/restore-rule.ts).
  interpreter.onStatus(({ detail }) => {
    if (detail.stateMachineArn === machineArn('rollout')) rollouts.told(detail)
    if (detail.stateMachineArn === machineArn('guarded-unlock')) unlocks.told(detail)
    if ([machineArn('fleet'), machineArn('rollout')].includes(detail.stateMachineArn)) questions.told(detail)
  })
  for (const left of await abandonedRollouts(ledger, interpreter, fleet)) rollouts.told(left)
  for (const left of await abandonedUnlocks({ ledger, interpreter, fleet, clock })) unlocks.told(left)
  const messages = new MemoryMessages()
  const { channels, statuses } = options.outside ?? nobodyOutside
  const notifications = new Notifications({
    ...{ activity, signal: closing.signal },
    ports: {
      ...{ ...ports, channels: [messages, ...channels], ...(statuses && { statuses }) },
      // Whoever is told elsewhere does not reach this machine's console.
      ...{ linkOf: () => undefined, unlockArn: (unlock) => `${executionArn('guarded-unlock')}:${unlock}` },
    },
  })
  events.onPublish((event) => notifications.tell(event))
  interpreter.onStatus((event) => {
    const { stateMachineArn, status } = event.detail
    if (stateMachineArn === machineArn('fleet') && status !== 'RUNNING') notifications.ended(event)
  })
  const server = await startStepFunctionsServer({ interpreter, activity })
  const states = new SFNClient({ endpoint: server.url, region, credentials: localCredentials })
  const endScans = options.locks
    ? startSchedule(clock, fleet.locks.every, () => startScan(interpreter, fleet))
    : () => {}

  const endSweeps = options.sweeps
    ? fleet.clusters.map(({ name }) => scheduleSweep(name, { clock, fleet, interpreter }))
    : []

  const approvals = new ApprovalViews(ports)
  const unlockRuns = new UnlockRuns({ interpreter, ledger, approvals, clock })
  return {
    ...{ ledger, waves, interpreter, events, messages, approvers },
    unlockRoutes: { approvals, unlockRuns, approve: approve(ports) },
    stepFunctionsUrl: server.url,
    webhook: webhook({
      fleet,
      log,
      secrets: async () => ({ current: options.webhookSecret }),
      start: (name, push) => startExecution(states, name, push),
    }),
    close: async () => {
      endScans()
      for (const end of endSweeps) end()
      closing.abort()
      await interpreter.close()
      states.destroy()
      await server.close()
      // A request that its client gives up goes on in the server, and would meet a database that is closed.
      await dynamodb.close()
      client.destroy()
      s3.destroy()
      await s3Server.close()
    },
  }
}

/** Where no lock is. */
export const noLocks: LockAccess = {
  stores: [],
  states: {
    read: async () => ({ exists: false }),
  },
  keeper: {
    backUp: async (address) => Promise.reject(noStateOf('The fleet', address)),
    writesSince: async (address) => Promise.reject(noStateOf('The fleet', address)),
  },
}

/** One that takes longer than the schedule's period meets the next one, which finds that it is at work. */
function startScan(interpreter: Interpreter, fleet: Fleet): void {
  interpreter.start({ machine: 'lock-scan', input: { clusters: fleet.clusters.map(({ name }) => name) } })
}

function scheduleSweep(cluster: string, { clock, fleet, interpreter }: Omit<Abandoning, 'ledger'>): () => void {
  return startSchedule(clock, fleet.sweep.every, () => startSweep(interpreter, cluster))
}

/** Of sweeps of one cluster that overlap one writes down what it has found. Answers the execution's ARN. */
export function startSweep(interpreter: Interpreter, cluster: string): string {
  return interpreter.start({ machine: 'sweep', input: { cluster } }).executionArn
}

/** Rollouts that hold a claim although their execution is over: the host died before it could restore them. */
async function abandonedRollouts(ledger: Ledger, interpreter: Interpreter, fleet: Fleet) {
  const claims = await Promise.all(fleet.clusters.map(({ name }) => ledger.listClaims(name)))
  const holders = new Set(claims.flat().map(({ holder }) => holder?.rollout))
  return interpreter.list({ machine: 'rollout' }).filter(({ name }) => holders.has(name))
}

/** Unlocks that have, or may have, left something although their execution is over, or lost: nobody else ends their turn. */
async function abandonedUnlocks({ ledger, interpreter, fleet, clock }: Abandoning): Promise<BadEnd[]> {
  const turns = await Promise.all(fleet.clusters.map(({ name }) => ledger.readUnlock(name)))
  const running = new Set(interpreter.list({ machine: 'guarded-unlock', status: 'RUNNING' }).map(({ name }) => name))
  return turns.flatMap((turn) => {
    const isOpen = turn?.intent !== undefined || (turn?.leaseUntil ?? 0) > clock.now()
    return turn && isOpen && !running.has(turn.unlock)
      ? [{ executionArn: `${executionArn('guarded-unlock')}:${turn.unlock}`, name: turn.unlock, status: 'ABORTED' }]
      : []
  })
}

interface Abandoning {
  readonly ledger: Ledger
  readonly interpreter: Interpreter
  readonly fleet: Fleet
  readonly clock: Clock
}

/** Steps that are under way when the host closes cannot be stopped, in Lambda neither: they find the ledger gone. */
function untilClosed(ledger: Ledger, signal: AbortSignal): Ledger {
  return new Proxy(ledger, {
    get: (target, name: keyof Ledger) => {
      if (signal.aborted) throw new LedgerUnavailable(name, new Error('the host is closing'))
      return target[name].bind(target)
    },
  })
}

async function startExecution(states: SFNClient, name: string, push: Push): Promise<'started' | 'exists'> {
  const stateMachineArn = machineArn('fleet')
  try {
    await states.send(new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(push) }))
    return 'started'
  } catch (error) {
    if (error instanceof ExecutionAlreadyExists) return 'exists'
    throw error
  }
}

/** Of the executions of a state machine, up to their names. */
function executionArn(machine: string): string {
  return machineArn(machine).replace(':stateMachine:', ':execution:')
}

function machineArn(name: string): string {
  return `arn:aws:states:${region}:${account}:stateMachine:${name}`
}

/** The names under which the state machines know the functions: `${ClaimFunction}` and so on. */
const functionNames = [
  ...[
    'waves',
    'wave-conclude',
    'claim',
    'plan',
    'gate',
    'fetch',
    'open',
    'wait',
    'hold',
    'report',
    'release',
    'restore',
  ],
  ...['plan-ask', 'plan-approve', 'wave-ask', 'stop-asking'],
  ...['judge', 'judge-others', 'unlock-assess', 'unlock-ask', 'unlock-begin', 'unlock-fence', 'unlock-back-up'],
  ...['unlock-delete', 'unlock-put-back', 'unlock-verify', 'unlock-conclude', 'unlock-watch', 'unlock-act'],
  'sweep-cluster',
] as const

/** `JudgeOthersFunction` for `judge-others`. */
function placeholder(name: string): string {
  const words = name.split('-').map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
  return `${words.join('')}Function`
}

/** The state machines as they are deployed, with the local functions' names filled in. */
export function readMachines(): Record<string, Definition> {
  const functions = functionNames.map((name) => [placeholder(name), name])
  const substitutions = {
    ...Object.fromEntries(functions),
    FleetStateMachine: machineArn('fleet'),
    RolloutStateMachine: machineArn('rollout'),
    WavesBucket: wavesBucket,
    GuardedUnlockStateMachine: machineArn('guarded-unlock'),
  }
  const load = (name: string) =>
    loadDefinition(readFileSync(new URL(`${name}.asl.json`, statemachines), 'utf8'), substitutions)
  return {
    fleet: load('fleet'),
    rollout: load('rollout'),
    'lock-scan': load('lock-scan'),
    sweep: load('sweep'),
    'guarded-unlock': load('guarded-unlock'),
  }
}

/** The functions by the names under which the state machines know them. */
export function handlersOf(ports: LockPorts & ApprovalPorts & WavePorts): Record<string, Invocation> {
  const bind = () => ports
  return {
    waves: bindStep(planWave, bind),
    'wave-conclude': bindStep(waveConclude, bind),
    claim: bindStep(claim, bind),
    plan: bindStep(plan, bind),
    gate: bindStep(gate, bind),
    fetch: bindStep(fetch, bind),
    open: bindStep(open, bind),
    wait: bindStep(wait, bind),
    hold: bindStep(hold, bind),
    report: bindStep(report, bind),
    release: bindStep(release, bind),
    restore: bindStep(restore, bind),
    judge: bindStep(judge, bind),
    'judge-others': bindStep(judgeOthers, bind),
    'sweep-cluster': bindStep(sweepCluster, bind),
    'plan-approve': bindStep(planApprove, bind),
    'plan-ask': bindStep(planAsk, bind),
    'wave-ask': bindStep(waveAsk, bind),
    'stop-asking': bindStep(stopAsking, bind),
    'unlock-act': bindStep(unlockAct, bind),
    'unlock-assess': bindStep(unlockAssess, bind),
    'unlock-back-up': bindStep(unlockBackUp, bind),
    'unlock-ask': bindStep(unlockAsk, bind),
    'unlock-begin': bindStep(unlockBegin, bind),
    'unlock-conclude': bindStep(unlockConclude, bind),
    'unlock-delete': bindStep(unlockDelete, bind),
    'unlock-fence': bindStep(unlockFence, bind),
    'unlock-put-back': bindStep(unlockPutBack, bind),
    'unlock-verify': bindStep(unlockVerify, bind),
    'unlock-watch': bindStep(unlockWatch, bind),
  }
}
