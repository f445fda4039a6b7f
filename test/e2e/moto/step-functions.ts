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
import { startGuardian } from '../cluster/guardian.ts'
import { startOnFreePorts } from '../cluster/on-free-ports.ts'
import { Process } from '../cluster/process.ts'
import { type FunctionCall, serveFunctions } from './step-functions-functions.ts'

const program = fileURLToPath(new URL('step_functions.py', import.meta.url))
const lookEveryMs = 20

export interface MotoOptions {
  /** Path of a Python with moto and jsonata-python. */
  readonly python: string
  /** How long a second of waiting takes (Wait, Retry), in seconds. Time limits are not shortened. Default 0.01. */
  readonly secondTakes?: number
}

/** moto's Step Functions as a process of its own, with functions of ours. */
export async function motoEngine({ python, secondTakes = 0.01 }: MotoOptions): Promise<MachineEngine> {
  const functions = new Map<string, Readonly<Record<string, TaskHandler>>>()
  const server = await serveFunctions(({ functionName, execution }: FunctionCall) => {
    const [, , , , , , machine = ''] = execution.split(':')
    const ofMachine = functions.get(machine) ?? {}
    const name = functionName.startsWith('arn:') ? (functionName.split(':')[6] ?? '') : functionName
    return Object.hasOwn(ofMachine, name) ? ofMachine[name] : undefined
  })
  const guardian = await startGuardian()
  const { process, ports } = await startOnFreePorts(1, ([port]) => {
    return new Process({
      name: 'moto (Step Functions)',
      command: [python, program, String(port), server.url, String(secondTakes)],
      env: { MOTO_ACCOUNT_ID: accountOfMachines, AWS_EC2_METADATA_DISABLED: 'true', PYTHONDONTWRITEBYTECODE: '1' },
      log: join(guardian.directory, 'step-functions.log'),
      guardian,
      ready: async (starting) => starting.output().includes('ready'),
    })
  })
  const endpoint = `http://127.0.0.1:${ports[0]}`
  const client = new SFNClient({ endpoint, region: regionOfMachines, credentials: localCredentials })
  return {
    clock: systemClock,
    load: async (machines, handlers) => {
      for (const [name, definition] of Object.entries(machines)) {
        functions.set(name, handlers)
        const roleArn = `arn:aws:iam::${accountOfMachines}:role/${name}`
        await client.send(new CreateStateMachineCommand({ name, definition, roleArn }))
      }
      return loadedBy(client)
    },
    close: async () => {
      client.destroy()
      await process.stop('SIGKILL')
      await server.close()
      await guardian.end()
    },
  }
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
