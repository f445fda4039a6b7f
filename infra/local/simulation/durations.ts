import * as z from 'zod'

/** How long the simulated controllers take and wait. All in milliseconds. */
export interface Durations {
  /** Token or interval -> artifact stored, for a Git or OCI source (measured: 350 ms). */
  readonly fetch: number
  /** One HelmChart built from an artifact that is already there. */
  readonly chart: number
  /** Between the two status patches at the start and at the end of a run (measured: 5 to 35 ms). */
  readonly statusGap: number
  /** A Kustomization's run without its health checks (measured: 300 ms). */
  readonly kustomization: number
  readonly healthPoll: number
  /** An install or upgrade of a HelmRelease. */
  readonly helmAction: number
  readonly runnerStart: number
  readonly tofuInit: number
  readonly tofuPlan: number
  readonly tofuApply: number
  /** Terraform: lastAppliedRevision -> Ready=True (measured: 0.1 s). */
  readonly appliedToReady: number
  /** Terraform: how often the end of a run's runner is waited for; then the token is recorded (measured: 5.0 s). */
  readonly runnerCleanup: number
  /** A runner that gets no address, or an old one that does not end, is given up after this (--runner-creation-timeout). */
  readonly runnerCreationTimeout: number
  /** How often tofu-controller looks whether an old runner has ended. */
  readonly runnerPoll: number
  /** What init may take (--runner-rpc-timeout). */
  readonly runnerRpcTimeout: number
  /** SIGINT to tofu -> its state is written and its lock released (measured: 0.3 s). */
  readonly tofuInterrupt: number
  /** A pod of tofu-controller -> it works. */
  readonly managerStart: number
  /** What tofu-controller waits for its running reconciles when it is told to end (--graceful-shutdown-timeout). */
  readonly gracefulShutdown: number
  /** Kustomization and HelmRelease: an unmet dependency is looked at again (--requeue-dependency). */
  readonly requeueDependency: number
  /** Sources: the first retry after a failed fetch; doubles up to `fetchRetryLimit`. */
  readonly fetchRetry: number
  readonly fetchRetryLimit: number
}

export const defaultDurations: Durations = {
  fetch: 350,
  chart: 100,
  statusGap: 20,
  kustomization: 300,
  healthPoll: 5_000,
  helmAction: 2_000,
  runnerStart: 150,
  tofuInit: 300,
  tofuPlan: 600,
  tofuApply: 2_000,
  appliedToReady: 100,
  runnerCleanup: 5_000,
  runnerCreationTimeout: 120_000,
  runnerPoll: 15_000,
  runnerRpcTimeout: 30 * 60_000,
  tofuInterrupt: 300,
  managerStart: 400,
  gracefulShutdown: 4 * 60_000,
  requeueDependency: 30_000,
  fetchRetry: 750,
  fetchRetryLimit: 15 * 60_000,
}

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A duration as Kubernetes objects spell it (`1h30m`, `15s`, `500ms`), as milliseconds. */
export const durationMs = z
  .string()
  .regex(/^(\d+(\.\d+)?(ms|s|m|h))+$/, 'must be a duration such as 10m or 1h30m')
  .transform((text) => {
    let total = 0
    for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h)/g))
      total += Number(amount) * (unitMs[unit ?? ''] ?? 0)
    return total
  })

/** As Go prints a duration, to whole seconds: `59m30s`, `1h0m0s`, `31s`. */
export function goDuration(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60]
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`
}
