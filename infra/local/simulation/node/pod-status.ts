export type ContainerState =
  | { readonly waiting: { readonly reason: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Terminated }

export interface Terminated {
  readonly exitCode: number
  readonly reason: string
  readonly startedAt: string
  readonly finishedAt: string
}

export interface PodState {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  /** Set once the container ran. */
  readonly ip: string | undefined
  readonly container: string
  readonly state: ContainerState
  readonly last: Terminated | undefined
  readonly restartCount: number
}

/** The `status` that a kubelet writes for a pod of one container, at `now` (RFC 3339). */
export function podStatus({ phase, ip, container, state, last, restartCount }: PodState, now: string): object {
  const isRunning = 'running' in state
  const condition = (type: string, holds: boolean) => {
    return { type, status: holds ? 'True' : 'False', lastTransitionTime: now }
  }
  return {
    phase,
    hostIP: '10.0.0.1',
    ...(ip !== undefined && { podIP: ip, podIPs: [{ ip }] }),
    conditions: [
      condition('PodScheduled', true),
      condition('Initialized', true),
      condition('ContainersReady', isRunning),
      condition('Ready', isRunning),
    ],
    containerStatuses: [
      { name: container, ready: isRunning, restartCount, state, lastState: last ? { terminated: last } : {} },
    ],
  }
}
