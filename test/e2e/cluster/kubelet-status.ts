import { constants } from 'node:os'
import type { Exit } from './process.ts'

/** How a run of the container ended, as the API shows it. Times in milliseconds since the epoch. */
export interface Ended {
  readonly startedAt: number
  readonly finishedAt: number
  readonly exit: Exit
}

export type ContainerState =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly kind: 'running'; readonly startedAt: number }
  | { readonly kind: 'terminated'; readonly ended: Ended }

export interface PodState {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  /** Why the pod as a whole failed, such as Evicted. */
  readonly reason?: string
  readonly message?: string
  /** Set once the container ran for the first time. */
  readonly ip?: string
  readonly container: { readonly name: string; readonly image: string; readonly state: ContainerState }
  /** The run before this one. */
  readonly last?: Ended
  readonly restartCount: number
  /** When the pod was bound, and when it last became ready or stopped being so. */
  readonly scheduledAt: number
  readonly readyChangedAt: number
}

/** The `status` that a kubelet writes for a pod of one container. */
export function podStatus(pod: PodState): object {
  const isRunning = pod.container.state.kind === 'running'
  const ready = condition(isRunning, pod.readyChangedAt)
  return {
    phase: pod.phase,
    reason: pod.reason ?? null,
    message: pod.message ?? null,
    hostIP: '127.0.0.1',
    ...(pod.ip !== undefined && { podIP: pod.ip, podIPs: [{ ip: pod.ip }] }),
    startTime: time(pod.scheduledAt),
    conditions: [
      { type: 'PodScheduled', ...condition(true, pod.scheduledAt) },
      { type: 'Initialized', ...condition(true, pod.scheduledAt) },
      { type: 'ContainersReady', ...ready },
      { type: 'Ready', ...ready },
    ],
    containerStatuses: [
      {
        name: pod.container.name,
        image: pod.container.image,
        imageID: '',
        state: stateOf(pod.container.state),
        lastState: pod.last ? { terminated: terminated(pod.last) } : {},
        restartCount: pod.restartCount,
        ready: isRunning,
        started: isRunning,
      },
    ],
  }
}

/** A process that a signal ended has exit code 128 + the signal's number, as shells and container runtimes say it. */
export function exitCode({ code, signal }: Exit): number {
  if (code !== null) return code
  return 128 + (signal === null ? 0 : constants.signals[signal])
}

function condition(isTrue: boolean, since: number): object {
  return { status: isTrue ? 'True' : 'False', lastTransitionTime: time(since), lastProbeTime: null }
}

function stateOf(state: ContainerState): object {
  switch (state.kind) {
    case 'waiting':
      return { waiting: { reason: state.reason, message: state.message ?? '' } }
    case 'running':
      return { running: { startedAt: time(state.startedAt) } }
    case 'terminated':
      return { terminated: terminated(state.ended) }
  }
}

function terminated({ startedAt, finishedAt, exit }: Ended): object {
  const code = exitCode(exit)
  return {
    exitCode: code,
    reason: code === 0 ? 'Completed' : 'Error',
    startedAt: time(startedAt),
    finishedAt: time(finishedAt),
  }
}

/** Kubernetes keeps whole seconds, cut off. */
function time(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z')
}
