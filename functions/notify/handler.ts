import * as z from 'zod'
import { serveNotifications } from '../lib/serve-notifications.ts'
import type { Step } from '../lib/step.ts'
import { type NotifyInput, type NotifyPorts, notify, notifyInputSchema } from './notify.ts'

/** Tells people of an event. EventBridge invokes it; Lambda tries again what fails, and then keeps it. */
export const step: Step<NotifyInput, { told: string[] }, NotifyPorts> = {
  name: 'notify',
  input: notifyInputSchema,
  output: z.object({ told: z.array(z.string()) }),
  run: async (input, ports) => ({ told: [...(await notify(input, ports))] }),
}

export const handler = serveNotifications(step)
