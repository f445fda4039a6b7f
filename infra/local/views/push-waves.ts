import * as z from 'zod'
import type { Fleet } from '../../../functions/lib/fleet.ts'
import { pushSchema } from '../../../functions/lib/push.ts'
import { wavesOf } from '../../../functions/lib/waves/waves-of.ts'
import type { HistoryEvent } from '../states/history.ts'
import type { ExecutionDescription, Interpreter } from '../states/interpreter.ts'

/**
 * - `waits`: the waves before it are not through, or people have to agree first.
 * - `running`: its clusters are rolled out.
 * - `done`: all of them succeeded.
 * - `incomplete`: some did not.
 * - `not begun`: it never was its turn.
 */
export type WavePhase = 'waits' | 'running' | 'done' | 'incomplete' | 'not begun'

/** One wave of a push, for people to look at. */
export interface WaveView {
  /** 1 is the first one. */
  readonly number: number
  readonly clusters: readonly string[]
  /** The clusters that have to do well first, of those that the push reaches. */
  readonly after: readonly string[]
  readonly phase: WavePhase
  /** Once it is concluded: how many of its clusters succeeded, and what Lockstep says of it. */
  readonly succeeded?: number
  readonly message?: string
}

/** The waves of one push, of which there are several. */
export interface WavesLine {
  readonly delivery: string
  readonly repository: string
  readonly branch: string
  readonly commit: string
  readonly status: ExecutionDescription['status']
  readonly waves: readonly WaveView[]
}

/** What the step that concludes a wave answers, as far as it is shown. */
const concludedSchema = z.object({
  message: z.string(),
  wave: z.object({ clusters: z.number(), succeeded: z.number() }),
})

const maps = ['RolloutWave', 'RolloutLargeWave']

/** Where pushes are among their waves, by the executions of the fleet's state machine. */
export class PushWaves {
  private readonly interpreter: Interpreter
  private readonly fleet: Fleet

  constructor({ interpreter, fleet }: { readonly interpreter: Interpreter; readonly fleet: Fleet }) {
    this.interpreter = interpreter
    this.fleet = fleet
  }

  /** The waves of a push to `repository`, whose execution is `arn`. */
  of(arn: string, repository: string): WaveView[] {
    const running = this.interpreter.describe(arn).status === 'RUNNING'
    const history = this.interpreter.history(arn)
    const begun = history.filter(
      ({ stateEnteredEventDetails: entered }) => entered && maps.includes(entered.name),
    ).length
    const concluded = history.flatMap(concludedBy)
    const waves = wavesOf(this.fleet, repository)
    return waves.map((clusters, index): WaveView => {
      const end = concluded[index]
      const wave = { number: index + 1, clusters, after: this.before(clusters, waves) }
      if (end) {
        const phase = end.wave.succeeded === end.wave.clusters ? 'done' : 'incomplete'
        return { ...wave, phase, succeeded: end.wave.succeeded, message: end.message }
      }
      if (index < begun) return { ...wave, phase: running ? 'running' : 'incomplete' }
      return { ...wave, phase: running ? 'waits' : 'not begun' }
    })
  }

  /** Those that are under way and the newest one, the newest first; only those with several waves. */
  list(): WavesLine[] {
    return this.interpreter
      .list({ machine: 'fleet' })
      .filter(({ status }, index) => status === 'RUNNING' || index === 0)
      .flatMap(({ executionArn, input, status }) => {
        const push = pushSchema.safeParse(JSON.parse(input)).data
        if (!push) return []
        const { delivery, branch, after: commit } = push
        const repository = push.repository.name
        const waves = this.of(executionArn, repository)
        return waves.length > 1 ? [{ delivery, repository, branch, commit, status, waves }] : []
      })
  }

  private before(names: readonly string[], waves: readonly (readonly string[])[]): string[] {
    const reached = new Set(waves.flat())
    const after = this.fleet.clusters.filter(({ name }) => names.includes(name)).flatMap((cluster) => cluster.after)
    return [...new Set(after)].filter((name) => reached.has(name))
  }
}

function concludedBy({ stateExitedEventDetails: exited }: HistoryEvent) {
  if (exited?.name !== 'ConcludeWave') return []
  const concluded = concludedSchema.safeParse(JSON.parse(exited.output))
  return concluded.success ? [concluded.data] : []
}
