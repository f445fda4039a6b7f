import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { deliverPush } from '../../../infra/local/push-file.ts'
import type { ApprovalLine, PlanApprovalLine } from '../../../infra/local/views/approval-view.ts'
import type { RolloutView } from '../../../infra/local/views/rollout-view.ts'
import { freePorts } from '../cluster/free-port.ts'
import type { Guardian } from '../cluster/guardian.ts'
import { Process } from '../cluster/process.ts'

const main = fileURLToPath(new URL('../../../infra/local/main.ts', import.meta.url))
const secret = 'a secret of the tests'

export interface LockstepOptions {
  readonly name: string
  readonly guardian: Guardian
  /** Its own; the ledger, the executions and the log are kept there. */
  readonly directory: string
  readonly kubeconfig: string
  /** As on GitHub: `my-org/fleet-infra`, on the host of `url`. */
  readonly repository: string
  readonly url: string
  readonly layers: readonly string[]
}

export interface Commit {
  readonly before: string
  readonly after: string
}

/** `npm start -- --kubeconfig` as a process of its own, which can be killed and started again where it was. */
export class LockstepProcess {
  readonly url: string
  readonly #process: Process
  readonly #options: LockstepOptions

  private constructor(options: LockstepOptions, port: number) {
    const { directory, guardian, kubeconfig, name } = options
    const fleet = join(directory, 'fleet.json')
    mkdirSync(directory, { recursive: true })
    writeFileSync(fleet, JSON.stringify({ context: { lockstep: fleetOf(options) } }))
    this.#options = options
    this.url = `http://127.0.0.1:${port}`
    this.#process = new Process({
      name,
      guardian,
      command: [
        process.execPath,
        ...[main, '--kubeconfig', kubeconfig, '--fleet', fleet, '--port', `${port}`, '--json'],
        ...['--data', join(directory, 'data')],
      ],
      env: { PATH: process.env.PATH ?? '', LOCKSTEP_WEBHOOK_SECRET: secret },
      log: join(directory, 'lockstep.log'),
      ready: async () => {
        const answer = await fetch(`${this.url}/api/rollouts`).catch(() => undefined)
        await answer?.body?.cancel()
        return answer?.ok === true
      },
    })
  }

  static async start(options: LockstepOptions): Promise<LockstepProcess> {
    const [port = 0] = await freePorts(1)
    const lockstep = new LockstepProcess(options, port)
    await lockstep.start()
    return lockstep
  }

  /** Where executions are kept: a line more for every state that is entered. */
  get executions(): string {
    return join(this.#options.directory, 'data', 'executions')
  }

  start(): Promise<void> {
    return this.#process.start()
  }

  kill(): Promise<void> {
    return this.#process.stop('SIGKILL')
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }

  /** GitHub's webhook for a push to main. Answers the rollout's id. */
  async push({ before, after }: Commit): Promise<string> {
    const { repository, url } = this.#options
    const pushed = {
      ...{ ref: 'refs/heads/main', before, after, pusher: { name: 'ana' } },
      repository: { full_name: repository, html_url: url, pushed_at: Math.floor(Date.now() / 1000) },
    }
    const { execution, reason, status } = await deliverPush(`${this.url}/webhook`, JSON.stringify(pushed), secret)
    if (execution === undefined) throw new Error(`The push starts no rollout (${status}): ${reason}`)
    return `${execution}.staging`
  }

  /** The rollout as soon as `holds`; looked at after every change that the console is told of. */
  async until(id: string, holds: (rollout: RolloutView) => boolean, timeoutMs = 600_000): Promise<RolloutView> {
    const signal = AbortSignal.timeout(timeoutMs)
    let last: RolloutView | undefined
    try {
      const events = await fetch(`${this.url}/api/events`, { signal })
      for await (const _ of events.body ?? []) {
        last = await this.rollout(id, signal)
        if (last && holds(last)) return last
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
    const seen = JSON.stringify(last, undefined, 2)
    throw new Error(`${id} is not as expected after ${timeoutMs / 1_000} s: ${seen}\n${this.#process.tail()}`)
  }

  /** Waits for its end. */
  ended(id: string, timeoutMs?: number): Promise<RolloutView> {
    return this.until(id, ({ status }) => status !== 'running' && status !== 'held', timeoutMs)
  }

  /** The question about a plan of an object that people have not been asked before, as soon as they are asked. */
  async planAsked(rollout: string, object: string, before?: PlanApprovalLine): Promise<PlanApprovalLine> {
    let asked: PlanApprovalLine | undefined
    const isAsked = (line: ApprovalLine): line is PlanApprovalLine =>
      line.kind === 'plan' && line.rollout === rollout && line.object === object && line.judged !== before?.judged
    for (const deadline = Date.now() + 600_000; !asked && Date.now() < deadline; await pause(200)) {
      const answer = await fetch(`${this.url}/api/approvals`)
      const { approvals } = (await answer.json()) as { approvals: ApprovalLine[] }
      asked = approvals.find(isAsked)
    }
    if (asked) return asked
    throw new Error(`Nobody is asked about a plan of ${object}: ${JSON.stringify(await this.rollout(rollout))}`)
  }

  /** What a person sees, or does with a decision, on the page of a link. */
  async page({ people }: PlanApprovalLine, by: string, decision?: 'approve' | 'deny'): Promise<Response> {
    const path = people.find(({ name }) => name === by)?.page ?? '/approve/none'
    const body = new URLSearchParams({ ...(decision && { decision }) })
    return fetch(`${this.url}${path}`, { redirect: 'manual', ...(decision && { method: 'POST', body }) })
  }

  /** Undefined before its execution has begun. */
  async rollout(id: string, signal?: AbortSignal): Promise<RolloutView | undefined> {
    const answer = await fetch(`${this.url}/api/rollouts/${id}`, signal ? { signal } : {})
    const { rollout } = (await answer.json()) as { rollout?: RolloutView }
    return rollout
  }
}

function fleetOf({ repository, url, layers }: LockstepOptions) {
  return {
    repositories: [{ name: repository, host: new URL(url).hostname, branches: ['main'] }],
    layers,
    plans: { approvers: ['bob'] },
    clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
    // At the start only: what scans ask of the cluster is not what rollouts do.
    locks: { every: '1d', quietWindow: '2d' },
  }
}
