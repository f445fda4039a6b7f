import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  paginateGetExecutionHistory,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn'
import * as z from 'zod'
import { systemClock } from '../../../functions/lib/clock.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'
import {
  accountOfMachines,
  type LoadedMachines,
  type MachineEngine,
  machineArn,
  regionOfMachines,
} from '../../contracts/machine-engine.ts'
import { type ExecutionTrail, executionTrail, type TrailEvent, trailEvent } from '../../contracts/machine-trail.ts'
import { type Guardian, startGuardian } from '../cluster/guardian.ts'
import { startOnFreePorts } from '../cluster/on-free-ports.ts'
import { Process, type ProcessOptions } from '../cluster/process.ts'
import { type FindFunction, serveFunctions } from './step-functions-functions.ts'

const program = fileURLToPath(new URL('step_functions.py', import.meta.url))
const lookEveryMs = 20

export interface MotoOptions {
  /** Path of a Python with moto and jsonata-python. */
  readonly python: string
  /** How long a second of waiting takes (Wait, Retry), in seconds. Time limits are not shortened. Default 0.01. */
  readonly secondTakes?: number
}

/** moto's Step Functions as a process of its own, with functions of ours. */
export class MotoEngine implements MachineEngine {
  readonly clock = systemClock
  readonly #functions: Map<string, FindFunction>
  readonly #client: SFNClient
  readonly #end: () => Promise<void>

  private constructor(functions: Map<string, FindFunction>, client: SFNClient, end: () => Promise<void>) {
    this.#functions = functions
    this.#client = client
    this.#end = end
  }

  static async start({ python, secondTakes = 0.01 }: MotoOptions): Promise<MotoEngine> {
    const functions = new Map<string, FindFunction>()
    const server = await serveFunctions((call) => {
      const [, , , , , , machine = ''] = call.execution.split(':')
      return functions.get(machine)?.(call)
    })
    const guardian = await startGuardian()
    const end = async () => {
      await guardian.end()
      await server.close()
    }
    try {
      const { ports } = await startOnFreePorts(1, ([port]) => {
        const command = [python, program, String(port), server.url, String(secondTakes)] as const
        return motoProcess(guardian, command)
      })
      const endpoint = `http://127.0.0.1:${ports[0]}`
      const client = new SFNClient({ endpoint, region: regionOfMachines, credentials: localCredentials })
      return new MotoEngine(functions, client, end)
    } catch (error) {
      await end()
      throw error
    }
  }

  load(
    machines: Readonly<Record<string, string>>,
    handlers: Readonly<Record<string, TaskHandler>>,
  ): Promise<LoadedMachines> {
    return this.loadFor(machines, ({ functionName }) => {
      const name = functionName.startsWith('arn:') ? (functionName.split(':')[6] ?? '') : functionName
      return Object.hasOwn(handlers, name) ? handlers[name] : undefined
    })
  }

  /** As `load`, with functions that may differ between executions. */
  async loadFor(machines: Readonly<Record<string, string>>, find: FindFunction): Promise<LoadedMachines> {
    for (const [name, definition] of Object.entries(machines)) {
      this.#functions.set(name, find)
      const roleArn = `arn:aws:iam::${accountOfMachines}:role/${name}`
      await this.#client.send(new CreateStateMachineCommand({ name, definition, roleArn }))
    }
    return loadedBy(this.#client)
  }

  async close(): Promise<void> {
    this.#client.destroy()
    await this.#end()
  }
}

function motoProcess(guardian: Guardian, command: ProcessOptions['command']): Process {
  return new Process({
    name: 'moto (Step Functions)',
    command,
    env: { MOTO_ACCOUNT_ID: accountOfMachines, AWS_EC2_METADATA_DISABLED: 'true', PYTHONDONTWRITEBYTECODE: '1' },
    log: join(guardian.directory, 'step-functions.log'),
    guardian,
    ready: async (starting) => starting.output().includes('Running on'),
  })
}

function loadedBy(client: SFNClient): LoadedMachines {
  return {
    start: async ({ machine, name, input }) => {
      const start = { stateMachineArn: machineArn(machine), name, input: JSON.stringify(input) }
      return (await client.send(new StartExecutionCommand(start))).executionArn ?? ''
    },
    ended: (arn) => ended(client, arn),
    stop: async (executionArn, failure) => {
      await client.send(new StopExecutionCommand({ executionArn, ...failure }))
    },
    sendTaskSuccess: async (taskToken, output) => {
      await client.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) }))
    },
    sendTaskFailure: async (taskToken, failure) => {
      await client.send(new SendTaskFailureCommand({ taskToken, ...failure }))
    },
    sendTaskHeartbeat: async (taskToken) => {
      await client.send(new SendTaskHeartbeatCommand({ taskToken }))
    },
  }
}

async function ended(client: SFNClient, executionArn: string): Promise<ExecutionTrail> {
  for (;;) {
    const { status } = await client.send(new DescribeExecutionCommand({ executionArn }))
    if (status !== 'RUNNING') return executionTrail(await historyOf(client, executionArn))
    await pause(lookEveryMs)
  }
}

/** Blotted out of histories, as our interpreter does. */
const taskToken = /task-token-[0-9a-f-]{36}/g

async function historyOf(client: SFNClient, executionArn: string): Promise<TrailEvent[]> {
  const events: TrailEvent[] = []
  for await (const page of paginateGetExecutionHistory({ client, pageSize: 1000 }, { executionArn })) {
    const text = JSON.stringify(page.events ?? []).replaceAll(taskToken, '***')
    events.push(...z.array(trailEvent).parse(JSON.parse(text)))
  }
  return events
}
