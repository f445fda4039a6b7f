import { RunnerFailure, type RunnerReply, type RunnerRequest } from './runner.ts'
import { type MakeTofu, StateLocked, type Tofu } from './tofu.ts'

/**
 * The runner program: it holds one session, and runs tofu as it is told. A SIGTERM only interrupts the plan or apply
 * that runs; an idle runner keeps it for the next one, and stays.
 */
export class RunnerServer {
  private readonly makeTofu: MakeTofu
  private instance = ''
  private tofu: Tofu | undefined
  private readonly working = new Set<AbortController>()
  private terminated = false

  constructor(makeTofu: MakeTofu) {
    this.makeTofu = makeTofu
  }

  /** Serves one call. `signal` aborts when the caller gave up or its connection broke. Throws RunnerFailure. */
  async serve(request: RunnerRequest, signal: AbortSignal): Promise<RunnerReply> {
    if (request.method === 'init') {
      this.instance = request.instance
      this.tofu = this.makeTofu(request)
    }
    const tofu = this.session(request.instance)
    try {
      return await this.run(tofu, request, signal)
    } catch (error) {
      throw failureOf(error)
    }
  }

  /** SIGTERM. */
  terminate(): void {
    const [first] = this.working
    if (first) first.abort()
    else this.terminated = true
  }

  private async run(tofu: Tofu, request: RunnerRequest, signal: AbortSignal): Promise<RunnerReply> {
    switch (request.method) {
      case 'init':
        await tofu.init(signal)
        return {}
      case 'forceUnlock':
        await tofu.forceUnlock(request.lockId)
        return {}
      case 'plan':
        return { changes: await this.interruptible(signal, (stop) => tofu.plan(request.purpose, stop)) }
      case 'savePlan':
        await tofu.savePlan(request.plan)
        return {}
      case 'loadPlan':
        await tofu.loadPlan(request.plan)
        return {}
      case 'apply':
        await this.interruptible(signal, (stop) => tofu.apply(stop))
        return {}
      case 'outputs':
        await tofu.outputs(signal)
        return {}
    }
  }

  private async interruptible<T>(signal: AbortSignal, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
    const sigterm = new AbortController()
    this.working.add(sigterm)
    if (this.terminated) {
      this.terminated = false
      sigterm.abort()
    }
    try {
      return await work(AbortSignal.any([signal, sigterm.signal]))
    } finally {
      this.working.delete(sigterm)
    }
  }

  private session(instance: string): Tofu {
    if (!this.tofu) {
      throw failed('Unknown', `terraform session error: instance id is empty, expected '${instance}'`)
    }
    if (instance === this.instance) return this.tofu
    const mismatch = `requested instance id '${instance}' does not match the current instance '${this.instance}'`
    throw failed('Unknown', `terraform session mismatch: ${mismatch}`)
  }
}

function failureOf(error: unknown): RunnerFailure {
  if (error instanceof RunnerFailure) return error
  if (error instanceof StateLocked) return failed('Internal', error.message, error.holder?.ID ?? '')
  return failed('Internal', error instanceof Error ? error.message : String(error))
}

function failed(code: 'Internal' | 'Unknown', message: string, lockId?: string): RunnerFailure {
  return new RunnerFailure(`rpc error: code = ${code} desc = ${message}`, lockId)
}
