import type * as z from 'zod'
import { sleep } from '../../functions/lib/clock.ts'
import { required } from '../../functions/lib/environment.ts'
import { LockstepError } from '../../functions/lib/errors.ts'
import { eventSource, type LockstepEvent } from '../../functions/lib/events.ts'
import type { Fleet } from '../../functions/lib/fleet.ts'
import type { CommitStatuses } from '../../functions/lib/notify/commit-status.ts'
import { GitHubStatuses, gitHubSecretSchema } from '../../functions/lib/notify/github-statuses.ts'
import type { MessageChannel } from '../../functions/lib/notify/message.ts'
import { SlackMessages, slackSecretSchema } from '../../functions/lib/notify/slack-messages.ts'
import { bindStep, type Ports } from '../../functions/lib/step.ts'
import { step } from '../../functions/notify/handler.ts'
import type { NotifyPorts } from '../../functions/notify/notify.ts'
import type { Activity } from './virtual-clock.ts'

/** Beyond this machine: Slack and GitHub, where the fleet wants them told, and whoever starts the host has their secrets. */
export interface Outside {
  readonly channels: readonly MessageChannel[]
  readonly statuses?: CommitStatuses
}

/** Nobody but whoever sits at this machine. */
export const nobodyOutside: Outside = { channels: [] }

/**
 * What the fleet names, where the environment has its secret, as it would stand in AWS: LOCKSTEP_SLACK and LOCKSTEP_GITHUB. Answers
 * too what is left out for want of one. Throws SecretInvalid.
 */
export function outsideFrom(
  { notifications: { slack, github } }: Fleet,
  environment: Readonly<Record<string, string | undefined>>,
  { clock }: Pick<Ports, 'clock'>,
): Outside & { readonly leftOut: readonly string[] } {
  const slackSecret = slack && secretIn(environment, 'LOCKSTEP_SLACK', slackSecretSchema)
  const gitHubSecret = github && secretIn(environment, 'LOCKSTEP_GITHUB', gitHubSecretSchema)
  return {
    channels: slackSecret
      ? [new SlackMessages({ secret: async () => slackSecret, channel: slack.channel, clock })]
      : [],
    ...(gitHubSecret && { statuses: new GitHubStatuses({ secret: async () => gitHubSecret, clock }) }),
    leftOut: [
      ...(slack && !slackSecret ? ['Slack (LOCKSTEP_SLACK is not set)'] : []),
      ...(github && !gitHubSecret ? ['GitHub (LOCKSTEP_GITHUB is not set)'] : []),
    ],
  }
}

function secretIn<Schema extends z.ZodType>(
  environment: Readonly<Record<string, string | undefined>>,
  name: string,
  schema: Schema,
): z.output<Schema> | undefined {
  if (environment[name] === undefined) return undefined
  try {
    return schema.parse(JSON.parse(required(name, environment[name])))
  } catch {
    // What is wrong with it would quote it.
    const next = 'Give it the JSON that the secret of AWS would have: README, "Deploy".'
    throw new LockstepError('SecretInvalid', `${name} cannot be used.`, next)
  }
}

/** As Lambda tries again what EventBridge brings. */
const pausesMs = [60_000, 120_000]

export interface DeliveryOptions {
  readonly ports: NotifyPorts
  readonly activity: Activity
  readonly signal: AbortSignal
}

/** What the EventBridge rules and the function `notify` do on AWS (infra/aws/notifications.ts). */
export class Notifications {
  private readonly options: DeliveryOptions
  private readonly notify: (payload: unknown) => Promise<unknown>

  constructor(options: DeliveryOptions) {
    this.options = options
    this.notify = bindStep(step, () => options.ports)
  }

  tell({ type, ...detail }: LockstepEvent): void {
    void this.deliver({ source: eventSource, 'detail-type': type, detail })
  }

  /** An event of Step Functions: the end of an execution of `fleet`. */
  ended(event: object): void {
    void this.deliver(event)
  }

  private async deliver(event: object): Promise<void> {
    const { ports, signal } = this.options
    for (const pause of [...pausesMs, undefined]) {
      const failure = await this.tried(event)
      if (failure === undefined || signal.aborted) return
      if (pause === undefined) ports.log.warn('an event could not be told', { reason: failure })
      else await sleep(ports.clock, pause, signal)
      if (signal.aborted) return
    }
  }

  /** Answers why it failed. */
  private async tried(event: object): Promise<string | undefined> {
    const done = this.options.activity.begin()
    try {
      await this.notify(event)
      return undefined
    } catch (error) {
      return error instanceof LockstepError ? error.message : 'unknown'
    } finally {
      done()
    }
  }
}
