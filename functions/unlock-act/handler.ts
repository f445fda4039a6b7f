import { SFNClient } from '@aws-sdk/client-sfn'
import * as z from 'zod'
import { SfnTaskTokens } from '../lib/approval/sfn-task-tokens.ts'
import type { TaskTokens } from '../lib/approval/task-tokens.ts'
import { tendApprovals } from '../lib/approval/tend-approvals.ts'
import { limitsInSteps } from '../lib/request-limits.ts'
import { portsFromEnvironment } from '../lib/serve.ts'
import { bindStep, type Ports, type Step } from '../lib/step.ts'
import { type UnlockRequest, unlockRequestSchema } from '../lib/unlock/run/unlock-request.ts'
import { unlocksToStart } from './unlocks-to-start.ts'

interface ActInput {
  readonly clusters: readonly string[]
}
interface ActPorts extends Ports {
  readonly tasks: TaskTokens
}

/** After a scan: which locks are to be unlocked without anybody asking for it, and what people were asked about before. */
export const step: Step<ActInput, { start: UnlockRequest[] }, ActPorts> = {
  name: 'unlock-act',
  input: z.object({ clusters: z.array(z.string()) }),
  output: z.object({ start: z.array(unlockRequestSchema) }),
  run: async ({ clusters }, ports) => {
    const observations = await ports.ledger.listObservations()
    await tendApprovals(observations, ports)
    return { start: await unlocksToStart(clusters, observations, ports) }
  },
}

let ports: ActPorts | undefined
export const handler = bindStep(step, () => {
  ports ??= { ...portsFromEnvironment(step.name), tasks: new SfnTaskTokens(new SFNClient({ ...limitsInSteps })) }
  return ports
})
