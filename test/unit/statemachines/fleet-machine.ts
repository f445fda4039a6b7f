import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { type Fleet, parseFleet } from '../../../functions/lib/fleet.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import type { Push } from '../../../functions/lib/push.ts'
import { bindStep, type WavePorts } from '../../../functions/lib/step.ts'
import { S3WaveStore } from '../../../functions/lib/waves/s3-wave-store.ts'
import { step as conclude } from '../../../functions/wave-conclude/handler.ts'
import { step as plan } from '../../../functions/waves/handler.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { type LocalS3, startS3 } from '../../../infra/local/s3/s3-server.ts'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import type { HistoryEvent } from '../../../infra/local/states/history.ts'
import { Interpreter, type TaskHandler } from '../../../infra/local/states/interpreter.ts'
import { S3ObjectFiles } from '../../../infra/local/states/s3-object-files.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { invoke, machineOf } from '../states/machines.ts'

const bucket = 'waves'
const source = readFileSync(new URL('../../../statemachines/fleet.asl.json', import.meta.url), 'utf8')
const fleetMachine = loadDefinition(source, {
  ...{ WavesFunction: 'waves', WaveConcludeFunction: 'wave-conclude', WaveAskFunction: 'wave-ask' },
  ...{ RolloutStateMachine: 'arn:aws:states:us-east-1:000000000000:stateMachine:rollout', WavesBucket: bucket },
})

/** Answers how the rollout of a cluster ends; throws for one that fails. */
export type Rollout = (cluster: string) => Promise<string>

export interface FleetMachineOptions {
  readonly fleet: object
  readonly rollout: Rollout
  /** Hears the token of each wave that people are asked about. */
  readonly ask?: TaskHandler
  /** What happens to the files of a wave behind Lockstep's back: after it was planned, and before it is concluded. */
  readonly meddle?: (moment: 'planned' | 'ended', s3: S3Client) => Promise<void>
}

/** How the execution of a push ended. */
export interface FleetEnd {
  readonly status: string
  readonly output: { readonly outcome?: string; readonly message?: string }
  readonly cause: string
  readonly error: string | undefined
  readonly states: readonly string[]
  /** Clusters whose rollout was started, in the order of their start. */
  readonly started: readonly string[]
  readonly history: readonly HistoryEvent[]
}

/** The fleet's state machine with its real steps and its files in S3's stand-in; a rollout is what a function says. */
export class FleetMachine {
  readonly clock: VirtualClock
  readonly s3: S3Client
  readonly interpreter: Interpreter
  readonly fleet: Fleet
  private readonly server: LocalS3

  private constructor(server: LocalS3, s3: S3Client, options: FleetMachineOptions, clock: VirtualClock) {
    this.server = server
    this.s3 = s3
    this.clock = clock
    const { fleet, rollout, meddle = async () => {}, ask = async () => ({ asked: 0 }) } = options
    this.fleet = parseFleet(fleet)
    const waves = new S3WaveStore({ client: s3, bucket })
    const ports = { clock, fleet: this.fleet, log: silentLog, waves } as unknown as WavePorts
    const end: TaskHandler = async (input) => ({ outcome: await rollout((input as { cluster: string }).cluster) })
    const steps = { plan: bindStep(plan, () => ports), conclude: bindStep(conclude, () => ports) }
    const planned: TaskHandler = async (input) => {
      const wave = await steps.plan(input)
      await meddle('planned', s3)
      return wave
    }
    const ended: TaskHandler = async (input) => {
      await meddle('ended', s3)
      return steps.conclude(input)
    }
    this.interpreter = new Interpreter({
      ...{ clock, activity: clock, objects: new S3ObjectFiles(s3) },
      machines: { fleet: fleetMachine, rollout: machineOf({ End: invoke('end') }) },
      handlers: { waves: planned, 'wave-conclude': ended, 'wave-ask': ask, end },
    })
  }

  static async start(options: FleetMachineOptions): Promise<FleetMachine> {
    const clock = new VirtualClock()
    const server = await startS3({ clock, activity: clock })
    const access = { endpoint: server.url, forcePathStyle: true, region: 'us-east-1', credentials: localCredentials }
    const s3 = new S3Client(access)
    await s3.send(new CreateBucketCommand({ Bucket: bucket }))
    return new FleetMachine(server, s3, options, clock)
  }

  /** Sends a push through the fleet, to its end. */
  async push(push: Push = newPush()): Promise<FleetEnd> {
    const { executionArn } = this.interpreter.start({ machine: 'fleet', name: push.delivery, input: { ...push } })
    return this.end(executionArn)
  }

  async end(executionArn: string): Promise<FleetEnd> {
    const { status, output = '{}', cause = '', error } = await this.interpreter.finished(executionArn)
    const history = this.interpreter.history(executionArn)
    const rollouts = this.interpreter.list({ machine: 'rollout' }).toReversed()
    return {
      ...{ status, cause, error, history, output: JSON.parse(output) },
      states: history.flatMap(({ stateEnteredEventDetails }) => stateEnteredEventDetails?.name ?? []),
      started: rollouts.map(({ name }) => name.slice(name.indexOf('.') + 1)),
    }
  }

  async close(): Promise<void> {
    await this.interpreter.close()
    this.s3.destroy()
    await this.server.close()
    this.clock.stop()
  }
}

export function newPush(): Push {
  return {
    repository: { name: 'my-org/fleet-infra', host: 'github.com' },
    ...{ branch: 'main', before: 'a'.repeat(40), after: 'b'.repeat(40), pushedAt: Date.UTC(2026, 0, 5, 9) },
    ...{ pusher: 'ana', delivery: randomUUID() },
  }
}

/** A fleet as a person writes it: clusters by wave, each after all of the wave before. */
export function fleetOfWaves(waves: readonly (readonly string[])[], extra: object = {}): object {
  return {
    repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
    clusters: waves.flatMap((names, index) =>
      names.map((name) => ({
        ...{ name, eks: name, region: 'us-east-1', environment: 'test' },
        after: waves[index - 1] ?? [],
      })),
    ),
    ...extra,
  }
}

/** `cluster-000`, `cluster-001`, … */
export const clusterNames = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `cluster-${`${index}`.padStart(3, '0')}`)

/** Bytes of the largest text that the execution keeps: what goes into a state, comes out of it, or is asked of a function. */
export function largestState(history: readonly HistoryEvent[]): number {
  const texts = history.flatMap((event) => [
    event.stateEnteredEventDetails?.input,
    event.stateExitedEventDetails?.output,
    event.taskScheduledEventDetails?.parameters,
    event.taskSucceededEventDetails?.output,
    event.executionSucceededEventDetails?.output,
    event.executionFailedEventDetails?.cause,
  ])
  return Math.max(...texts.map((text) => Buffer.byteLength(text ?? '')))
}
