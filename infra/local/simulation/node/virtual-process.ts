import type { KubernetesObject } from '../../kubernetes/object-store.ts'

/** What runs in a pod's container. */
export interface VirtualProcess {
  /** From its start until it is ready, in milliseconds. */
  readonly startMs: number
  /** It is ready, at the pod's address. */
  ready(ip: string): void
  /** SIGTERM. */
  terminate(): void
  /** SIGKILL: from now on it does nothing. */
  kill(): void
  /** Resolves when it ended by itself. */
  readonly ended: Promise<void>
}

/** The process of a pod's container, each time that it starts. */
export type MakeProcess = (pod: KubernetesObject) => VirtualProcess

/** A program that nothing is known of: it runs, and ends when it is told. */
export function anyProcess(): VirtualProcess {
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  return { startMs: 0, ready: () => {}, terminate: resolve, kill: () => {}, ended }
}
