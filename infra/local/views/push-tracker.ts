import { pushSchema } from '../../../functions/lib/push.ts'
import type { ExecutionDescription, Interpreter } from '../states/interpreter.ts'
import type { LiveRollouts } from './live-rollouts.ts'
import type { Display, PushView } from './push-view.ts'
import type { PushWaves } from './push-waves.ts'

export interface PushTrackerOptions {
  readonly interpreter: Interpreter
  readonly live: LiveRollouts
  readonly waves: PushWaves
  readonly display: Display
}

const machine = 'fleet'

/** Follows every push from its webhook to the end of its last rollout, and shows it. */
export class PushTracker {
  private readonly options: PushTrackerOptions
  /** ARNs of the fleet's executions that are under way. */
  private readonly running = new Set<string>()
  private readonly ends: (() => void)[]

  constructor(options: PushTrackerOptions) {
    const { interpreter, live } = options
    this.options = options
    for (const { executionArn } of interpreter.list({ machine, status: 'RUNNING' })) this.running.add(executionArn)
    this.ends = [
      interpreter.onStatus(({ detail }) => {
        if (!detail.stateMachineArn.endsWith(`:${machine}`)) return
        if (detail.status === 'RUNNING') this.running.add(detail.executionArn)
        else void this.conclude(detail.executionArn)
      }),
      live.onChange(() => this.show()),
    ]
  }

  /** The pushes that are under way now, the first one first. */
  pushes(): PushView[] {
    return [...this.running].flatMap((arn) => this.view(arn) ?? [])
  }

  close(): void {
    for (const end of this.ends) end()
  }

  private show(): void {
    this.options.display.show(this.pushes())
  }

  private async conclude(arn: string): Promise<void> {
    await this.options.live.refresh()
    const view = this.view(arn)
    this.running.delete(arn)
    if (view) this.options.display.conclude(view)
  }

  private view(arn: string): PushView | undefined {
    const execution = this.options.interpreter.describe(arn)
    const push = pushSchema.safeParse(JSON.parse(execution.input))
    if (!push.success) return undefined
    const { live } = this.options
    const waves = this.options.waves.of(arn, push.data.repository.name)
    return {
      push: push.data,
      status: execution.status,
      waves,
      clusters: waves
        .flatMap(({ clusters }) => clusters)
        .map((name) => {
          const rollout = live.get(`${push.data.delivery}.${name}`)
          return { name, ...(rollout && { rollout }) }
        }),
      ...timesOf(execution),
    }
  }
}

function timesOf({ startDate, stopDate }: ExecutionDescription) {
  return { startedAt: Date.parse(startDate), ...(stopDate !== undefined && { endedAt: Date.parse(stopDate) }) }
}
