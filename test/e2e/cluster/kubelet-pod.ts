import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Api, ApiRefused, ApiUnreachable, type ObjectKey } from './api.ts'
import { freePorts } from './free-port.ts'
import type { Guardian } from './guardian.ts'
import { kinds } from './kinds.ts'
import { containerEnvironment } from './kubelet-environment.ts'
import { type Isolation, processTree } from './kubelet-isolation.ts'
import type { Pod } from './kubelet-pod-schema.ts'
import { type ContainerState, type Ended, type PodState, podStatus } from './kubelet-status.ts'
import { type Exit, PortTaken, Process, ProcessNotStarted } from './process.ts'
import type { RunnerNetwork } from './runner-network.ts'

/** The program that stands for a container's image. */
export interface PodProgram {
  /** Pods with this value of the label `app.kubernetes.io/name` run it. */
  readonly name: string
  /** The executable, with the arguments that come before the container's. */
  readonly command: readonly [file: string, ...args: string[]]
  /** What the image would bring along, PATH above all. The container's own variables come on top. */
  readonly env: Readonly<Record<string, string>>
  /** The container's arguments, with `port`, a free one on loopback, in place of the port that it names. */
  readonly args: (args: readonly string[], port: number) => readonly string[]
  /** Whether the container is ready now. */
  readonly ready: (port: number) => Promise<boolean>
}

/**
 * What the kubelet does about a container that ended unasked. `restart`: again in the same pod. `fail`: the pod has
 * phase Failed, for good. `hold`: nothing, and says nothing: the API goes on to show a running container.
 */
export type AfterExit = 'restart' | 'fail' | 'hold'

/** What a pod gets from its kubelet. */
export interface PodHost {
  readonly api: Api
  readonly guardian: Guardian
  readonly isolation: Isolation
  readonly network: RunnerNetwork
  /** Name of the Node. */
  readonly node: string
  readonly say: (line: string) => void
}

/** The first restart is at once; then it takes longer with each that follows soon. */
const restartPausesMs = [0, 500, 1_000, 2_000, 5_000, 10_000]
const soonMs = 10_000
/** A container may take its time to be ready: nothing else waits for it, and whoever does has a deadline. */
const readyWithinMs = 600_000
const mostPortTries = 5
const killed: Exit = { code: null, signal: 'SIGKILL' }
const retryPauseMs = 100
/** unshare takes a moment to fork. */
const forkPauseMs = 5

/** One pod on this node, from its binding to its end. */
export class PodRun {
  readonly #host: PodHost
  readonly #program: PodProgram
  readonly #ip: string
  readonly #ending = new AbortController()
  readonly #scheduledAt = Date.now()
  #pod: Pod
  #process: Process | undefined
  #afterExit: AfterExit = 'restart'
  #failure: { readonly reason: string; readonly message: string } | undefined
  #resumed = Promise.withResolvers<void>()
  #last: Ended | undefined
  #restartCount = 0
  #hasRun = false
  /** This run of the container. */
  #isReady = false
  #readyChangedAt = this.#scheduledAt
  #unreported: object | undefined
  #reporting: Promise<void> | undefined
  #killAt = Number.POSITIVE_INFINITY
  #killTimer: NodeJS.Timeout | undefined
  #isTold = false
  /** Whether this run of the container got SIGKILL. */
  #isKilled = false
  #isRemoved = false
  /** Resolves, without fail, when the pod's processes and files are gone. */
  readonly done: Promise<void>

  constructor(host: PodHost, program: PodProgram, pod: Pod) {
    this.#host = host
    this.#program = program
    this.#pod = pod
    this.#ip = host.network.newAddress()
    this.done = this.#live().catch((error: unknown) => host.say(`${this.#title}: ${String(error)}`))
    if (pod.metadata.deletionTimestamp !== undefined) this.update(pod)
  }

  get namespace(): string {
    return this.#pod.metadata.namespace
  }

  get name(): string {
    return this.#pod.metadata.name
  }

  get uid(): string {
    return this.#pod.metadata.uid
  }

  get ip(): string {
    return this.#ip
  }

  /** Whether the container's process runs; true for a frozen one. */
  get alive(): boolean {
    return this.#process?.running ?? false
  }

  /** Whether the container's process runs and was ready once. */
  get ready(): boolean {
    return this.alive && this.#isReady
  }

  /** Whether it was killed with `hold`, and nobody has said yet how to go on. */
  get held(): boolean {
    return !this.alive && this.#afterExit === 'hold'
  }

  /** Pid, on this machine, of the container's first process. */
  get pid(): number | undefined {
    const pid = this.#process?.pid
    return pid === undefined ? undefined : this.#host.isolation.firstProcess(pid)
  }

  /** The last lines that the container wrote. */
  tail(): string {
    return this.#process?.tail() ?? ''
  }

  /** The pod as the API shows it now. */
  update(pod: Pod): void {
    this.#pod = pod
    const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata
    if (deletionTimestamp !== undefined) this.#terminate(deletionGracePeriodSeconds)
  }

  /** The pod is no longer in the API, whether its process has ended or not. */
  removed(): void {
    this.#isRemoved = true
    this.#ending.abort()
    this.#kill()
  }

  /** SIGKILL to all its processes, at once. Resolves when they are gone. */
  async kill(afterExit: AfterExit): Promise<void> {
    this.#afterExit = afterExit
    this.#kill()
    await this.#process?.exited
  }

  /** Ends the pod for good: phase Failed with `reason`. */
  async evict(reason: string, message: string): Promise<void> {
    this.#failure = { reason, message }
    await this.kill('fail')
  }

  /** Goes on with what `hold` left alone. */
  resume(afterExit: 'restart' | 'fail'): void {
    this.#afterExit = afterExit
    this.#resumed.resolve()
  }

  /** Stops every process of the container where it is (SIGSTOP), until `thaw`. */
  freeze(): void {
    this.#signalAll('SIGSTOP')
  }

  thaw(): void {
    this.#signalAll('SIGCONT')
  }

  async #live(): Promise<void> {
    try {
      if (!(await this.#bind())) return
      await Promise.all(['home', 'tmp'].map((name) => mkdir(join(this.#directory, name), { recursive: true })))
      await this.#runUntilEnd().catch((error: unknown) => this.#giveUp(error))
      if (!this.#isRemoved) await this.#confirmEnd()
    } finally {
      clearTimeout(this.#killTimer)
      await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  async #runUntilEnd(): Promise<void> {
    for (let restartsInARow = 0; !this.#isEnding; ) {
      const ended = await this.#run()
      this.#last = ended
      this.#readyChangedAt = ended.finishedAt
      if (this.#isEnding) return
      const next = await this.#afterward()
      if (this.#isEnding) return
      if (next === 'fail') {
        this.#report('Failed', { kind: 'terminated', ended })
        return this.#end()
      }
      restartsInARow = ended.finishedAt - ended.startedAt < soonMs ? restartsInARow + 1 : 0
      this.#restartCount += 1
      const reason = restartsInARow > 1 ? 'CrashLoopBackOff' : 'ContainerCreating'
      this.#report('Running', { kind: 'waiting', reason })
      await this.#wait(restartPausesMs[Math.min(restartsInARow, restartPausesMs.length) - 1] ?? 0)
    }
  }

  /** The container cannot be started at all: that is shown until somebody deletes the pod. */
  async #giveUp(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error)
    this.#host.say(`${this.#title}: ${message}`)
    this.#report('Pending', { kind: 'waiting', reason: 'CreateContainerError', message })
    await this.#end()
  }

  /** One run of the container, from start to end. */
  async #run(): Promise<Ended> {
    const startedAt = Date.now()
    this.#isKilled = false
    this.#isReady = false
    const process = await this.#start()
    // A deletion may have come while there was nobody yet to be told.
    if (this.#isEnding) this.#tellToEnd()
    if (process.running) {
      this.#hasRun = true
      this.#isReady = true
      this.#readyChangedAt = Date.now()
      this.#report('Running', { kind: 'running', startedAt })
    }
    // unshare, which stays around the container, does not always pass on which signal it was.
    const exit = await process.exited.then((how) => (this.#isKilled ? killed : how))
    // Somebody else may get the port.
    this.#host.network.detach(this.#ip)
    return { startedAt, finishedAt: Date.now(), exit }
  }

  /** The process, ready, or already ended where it did not get so far. */
  async #start(): Promise<Process> {
    for (let tries = 1; ; tries++) {
      const [port = 0] = await freePorts(1)
      const process = this.#makeProcess(port)
      // From its start on it can be killed: whoever wanted that before has found nothing to kill.
      if (this.#isEnding) return process
      this.#process = process
      this.#host.network.attach(this.#ip, port)
      try {
        await process.start()
        return process
      } catch (error) {
        if (error instanceof ProcessNotStarted) throw error
        if (error instanceof PortTaken && tries < mostPortTries) continue
        if (!this.#isEnding) this.#host.say(`${this.#title}: ${String(error)}`)
        return process
      }
    }
  }

  #makeProcess(port: number): Process {
    const { guardian, isolation, node } = this.#host
    const { args, command, env, ready } = this.#program
    const { name } = this.#pod.metadata
    const [container] = this.#pod.spec.containers
    return new Process({
      name: this.#title,
      guardian,
      log: `${this.#directory}.log`,
      cwd: this.#directory,
      env: {
        ...env,
        HOME: join(this.#directory, 'home'),
        TMPDIR: join(this.#directory, 'tmp'),
        ...containerEnvironment(this.#pod, node, this.#ip),
      },
      command: isolation.wrap(name, [...command, ...args(container.args, port)]),
      ready: async () => this.pid !== undefined && (await ready(port)),
      readyWithinMs,
    })
  }

  async #afterward(): Promise<AfterExit> {
    if (this.#afterExit === 'hold') await Promise.race([this.#resumed.promise, this.#end()])
    const next = this.#afterExit
    this.#afterExit = 'restart'
    this.#resumed = Promise.withResolvers()
    return next
  }

  #terminate(graceSeconds: number): void {
    this.#ending.abort()
    // By force: a SIGTERM right before would let a runner give its lock back, now and then.
    if (graceSeconds === 0) this.#kill()
    else this.#tellToEnd()
    const killAt = Date.now() + graceSeconds * 1000
    if (killAt >= this.#killAt) return
    this.#killAt = killAt
    clearTimeout(this.#killTimer)
    this.#killTimer = setTimeout(() => this.#kill(), graceSeconds * 1000)
  }

  /** Tells the API that the pod's processes are gone, which ends the pod. */
  async #confirmEnd(): Promise<void> {
    if (this.#last) {
      const isSuccess = this.#last.exit.code === 0
      this.#report(isSuccess ? 'Succeeded' : 'Failed', { kind: 'terminated', ended: this.#last })
    }
    await this.#reporting
    await this.#settled(() => this.#host.api.delete(this.#key, { graceSeconds: 0, uid: this.uid }))
  }

  /** False where the pod is gone. Where it is bound already the answer is a conflict, and the binding stands. */
  async #bind(): Promise<boolean> {
    const { namespace, name, uid } = this.#pod.metadata
    const { api, node } = this.#host
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    }
    const path = await this.#settled(() => api.path(kinds.Pod, { namespace, name }))
    const answer = await this.#settled(async () => {
      const answered = await api.request('POST', `${path}/binding`, { body: binding })
      if (answered.status >= 500) throw new ApiRefused(`Binding ${this.#title}`, answered)
      return answered
    })
    return answer !== undefined && answer.status !== 404
  }

  /** Writes the status, without waiting for the API server: the container's life goes on while it is away. */
  #report(phase: PodState['phase'], state: ContainerState): void {
    const [{ name, image }] = this.#pod.spec.containers
    this.#unreported = podStatus({
      phase,
      ...(phase === 'Failed' && this.#failure),
      ...(this.#hasRun && { ip: this.#ip }),
      container: { name, image, state },
      ...(this.#last && state.kind !== 'terminated' && { last: this.#last }),
      restartCount: this.#restartCount,
      scheduledAt: this.#scheduledAt,
      readyChangedAt: this.#readyChangedAt,
    })
    this.#reporting ??= this.#sendReports()
  }

  /** One after the other. What is outdated before it was sent is never told. */
  async #sendReports(): Promise<void> {
    try {
      while (this.#unreported && !this.#isRemoved) {
        // The uid keeps it off a later pod of the same name.
        const body = { metadata: { uid: this.uid }, status: this.#unreported }
        this.#unreported = undefined
        await this.#settled(() => this.#host.api.patch(this.#key, body, { type: 'strategic', subresource: 'status' }))
      }
    } catch (error) {
      this.#host.say(`${this.#title}: ${String(error)}`)
    } finally {
      this.#reporting = undefined
    }
  }

  /** Again and again while the API server is away; undefined where the pod is gone, or another has its name. */
  async #settled<T>(work: () => Promise<T>): Promise<T | undefined> {
    while (!this.#isRemoved) {
      try {
        return await work()
      } catch (error) {
        if (error instanceof ApiRefused && (error.status === 404 || error.status === 409)) return undefined
        if (!(error instanceof ApiUnreachable) && !(error instanceof ApiRefused && error.status >= 500)) throw error
      }
      await pause(retryPauseMs)
    }
    return undefined
  }

  #kill(): void {
    this.#isKilled = true
    const process = this.#process
    if (process) void this.#killFirst(process)
  }

  /** unshare outside is left alone: it waits for the end of the first process, and that for the end of all others. */
  async #killFirst(process: Process): Promise<void> {
    while (process.running) {
      const first = this.pid
      if (first !== undefined) {
        // Without a namespace each of them has to be told.
        const isApart = this.#host.isolation.kind === 'namespaces'
        for (const pid of isApart ? [first] : processTree(first)) send(pid, 'SIGKILL')
        return
      }
      await pause(forkPauseMs)
    }
  }

  /** Once: a program may take a second SIGTERM for impatience. As from a kubelet, only the first process gets it. */
  #tellToEnd(): void {
    const first = this.pid
    if (first === undefined || this.#isTold) return
    this.#isTold = true
    send(first, 'SIGTERM')
  }

  #signalAll(signal: NodeJS.Signals): void {
    const first = this.pid
    if (first === undefined) return
    for (const pid of processTree(first)) send(pid, signal)
  }

  get #isEnding(): boolean {
    return this.#ending.signal.aborted
  }

  async #end(): Promise<void> {
    const { signal } = this.#ending
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }

  async #wait(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#ending.signal }).catch(() => {})
  }

  get #key(): ObjectKey {
    const { namespace, name } = this.#pod.metadata
    return { ...kinds.Pod, namespace, name }
  }

  get #title(): string {
    const { namespace, name } = this.#pod.metadata
    return `Pod ${namespace}/${name}`
  }

  get #directory(): string {
    const { namespace, name, uid } = this.#pod.metadata
    return join(this.#host.guardian.directory, 'pods', `${namespace}_${name}_${uid}`)
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
