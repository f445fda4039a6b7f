import * as z from 'zod'
import { serveApprovals } from '../lib/serve-approvals.ts'
import type { ApprovalPorts, Step } from '../lib/step.ts'
import { type AskInput, askForApproval } from './ask.ts'

/** Asks people to agree to an unlock: their decision answers the task that waits, not this function. */
export const step: Step<AskInput, { asked: number }, ApprovalPorts> = {
  name: 'unlock-ask',
  input: z.object({ unlock: z.string().min(1), token: z.string().min(1), needed: z.int().min(1) }),
  output: z.object({ asked: z.int() }),
  run: askForApproval,
}

export const handler = serveApprovals(step)
