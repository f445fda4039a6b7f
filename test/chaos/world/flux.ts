import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import type { Truth } from '../truth.ts'
import type { Api } from './api.ts'
import { database, deployment, release, root, vpc } from './names.ts'

/** Who applies what, and what it declares. */
export interface FluxShape {
  /** Who applies tofu-controller's Deployment. */
  readonly deployedBy: 'helm' | 'git' | 'nobody'
  /** Git declares the replicas, and whoever applies the Deployment puts them back each time. */
  readonly declaresReplicas: boolean
  /** Git declares `suspend: false` of these. */
  readonly declaresSuspend: boolean
  readonly replicas: number
}

const git = 'kustomize-controller'
const helm = 'helm-controller'

/** kustomize-controller and helm-controller: they apply what Git says, unless they are told not to. */
export class Flux {
  private readonly clock: ChaosClock
  private readonly random: Random
  private readonly api: Api
  private readonly truth: Truth
  private readonly shape: FluxShape

  constructor(options: { clock: ChaosClock; random: Random; api: Api; truth: Truth; shape: FluxShape }) {
    this.clock = options.clock
    this.random = options.random
    this.api = options.api
    this.truth = options.truth
    this.shape = options.shape
  }

  /** One reconcile of one of them. What it has begun it ends, whatever is suspended meanwhile. */
  reconcile(key: typeof root | typeof release): void {
    if (this.api.down || this.api.get(key)?.spec?.suspend === true) return
    this.clock.act(this.random.pick([0, 500, 5_000, 20_000]), () => {
      if (this.api.down) return
      if (key === root) this.applyRoot()
      else this.applyRelease()
    })
  }

  applyRoot(): void {
    const { declaresSuspend, deployedBy } = this.shape
    const labels = {
      'kustomize.toolkit.fluxcd.io/name': 'flux-system',
      'kustomize.toolkit.fluxcd.io/namespace': 'flux-system',
    }
    const suspend = declaresSuspend ? { suspend: false } : {}
    this.apply(root, git, { labels, spec: { interval: '10m', prune: true } })
    if (deployedBy === 'helm') this.apply(release, git, { labels, spec: { interval: '10m', ...suspend } })
    for (const key of [vpc, database] as const) {
      this.apply(key, git, { labels, spec: { ...terraformSpec(key), ...suspend } })
    }
    if (deployedBy === 'git') this.applyDeployment(git, labels)
  }

  private applyRelease(): void {
    if (this.shape.deployedBy !== 'helm') return
    const labels = {
      'helm.toolkit.fluxcd.io/name': 'tofu-controller',
      'helm.toolkit.fluxcd.io/namespace': 'flux-system',
    }
    this.applyDeployment(helm, labels)
  }

  private applyDeployment(manager: string, labels: object): void {
    const { declaresReplicas, replicas } = this.shape
    this.apply(deployment, manager, {
      labels: { ...labels, ...deploymentLabels },
      spec: { ...deploymentSpec, ...(declaresReplicas && { replicas }) },
    })
  }

  private apply(key: string, manager: string, content: { labels: object; spec: object }): void {
    const before = this.api.get(key)
    this.api.apply(key, manager, content)
    const after = this.api.get(key)
    if (!after || before?.metadata.resourceVersion === after.metadata.resourceVersion) return
    // It owns what it declares from now on, be it as it was.
    this.truth.claimed(key, content.spec)
  }
}

const deploymentLabels = { 'app.kubernetes.io/name': 'tofu-controller' }

/** Shorter than the chart's, so that a run takes less: how long tofu-controller waits for its runs, and the kubelet for it. */
export const shutdownSeconds = 50
export const graceSeconds = 60

export const deploymentSpec = {
  selector: { matchLabels: { app: 'tofu-controller' } },
  template: {
    spec: {
      terminationGracePeriodSeconds: graceSeconds,
      containers: [{ name: 'manager', args: [`--graceful-shutdown-timeout=${shutdownSeconds}s`] }],
    },
  },
}

export function terraformSpec(key: string): object {
  const name = key.split('/')[2]
  return { interval: '1h', path: `./${name}`, sourceRef: { kind: 'GitRepository', name: 'fleet-infra' } }
}
