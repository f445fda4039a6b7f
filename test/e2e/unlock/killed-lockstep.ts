import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { executionRecord } from '../../../infra/local/states/execution-store.ts'
import { type HistoryEvent, statesEntered } from '../../../infra/local/states/history.ts'
import type { RunningCluster } from '../cluster/cluster.ts'
import { Process } from '../cluster/process.ts'

const main = fileURLToPath(new URL('lockstep-main.ts', import.meta.url))

/** `startLockstep` as a process, which can be killed and started again where it was. */
export class KilledLockstep {
  /** The ledger and the executions. */
  readonly directory: string
  readonly #process: Process
  /** Files of executions of other machines: they come with every scan. */
  readonly #others = new Set<string>()

  private constructor({ guardian, kubeconfigs }: RunningCluster, name: string, env: Readonly<Record<string, string>>) {
    const home = join(guardian.directory, name)
    mkdirSync(home, { recursive: true })
    this.directory = join(home, 'data')
    this.#process = new Process({
      ...{ name, guardian, log: join(home, 'lockstep.log') },
      command: [process.execPath, main, kubeconfigs.lockstep, this.directory],
      env: { PATH: process.env.PATH ?? '', ...env },
      ready: async (started) => started.output().includes('ready\n'),
    })
  }

  /** `env`: where AWS is. */
  static async start(
    cluster: RunningCluster,
    name: string,
    env: Readonly<Record<string, string>>,
  ): Promise<KilledLockstep> {
    const lockstep = new KilledLockstep(cluster, name, env)
    await lockstep.start()
    return lockstep
  }

  start(): Promise<void> {
    return this.#process.start()
  }

  kill(): Promise<void> {
    return this.#process.stop('SIGKILL')
  }

  /** The state that the first unlock is in, as soon as `wanted` says so; undefined when it has ended. */
  async stateOrEnd(wanted: (state: string) => boolean): Promise<string | undefined> {
    for (;;) {
      const events = this.#eventsOfUnlock()
      if (events.at(-1)?.type.startsWith('Execution') && events.length > 1) return undefined
      const state = statesEntered(events).at(-1)
      if (state !== undefined && wanted(state)) return state
      await pause(5)
    }
  }

  /** What the first unlock has ended with; undefined where it has not, or not well. */
  output(): unknown {
    const { output } = this.#eventsOfUnlock().at(-1)?.executionSucceededEventDetails ?? {}
    return output === undefined ? undefined : JSON.parse(output)
  }

  #eventsOfUnlock(): HistoryEvent[] {
    const executions = join(this.directory, 'executions')
    const files = readdirSync(executions).filter((file) => file.endsWith('.ndjson') && !this.#others.has(file))
    for (const file of files) {
      // The last line may be half written.
      const lines = readFileSync(join(executions, file), 'utf8').split('\n').slice(0, -1)
      const records = lines.map((line) => executionRecord.parse(JSON.parse(line)))
      const [first] = records
      if (first?.type !== 'started') continue
      if (first.machine === 'guarded-unlock')
        return records.flatMap((each) => (each.type === 'step' ? each.events : []))
      this.#others.add(file)
    }
    return []
  }
}
