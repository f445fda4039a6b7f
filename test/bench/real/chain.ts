import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { mainTf, run, yaml } from '../../e2e/rollout/layered-fleet.ts'

/** Five objects of one kind, each in a layer of its own that depends on the one before. */
export interface Chain {
  readonly kind: 'Kustomization' | 'Terraform'
  readonly names: readonly string[]
  readonly objects: readonly KubernetesObject[]
  /** Content for a commit that changes every object; the applies of OpenTofu take `seconds`. */
  files(number: number, seconds: number): Readonly<Record<string, string>>
}

export interface ChainOptions {
  readonly kind: Chain['kind']
  readonly namespace: string
  readonly url: string
  /** File that OpenTofu's Kubernetes backend reads. */
  readonly kubeconfig: string
}

export const chainLayers = ['layer-1', 'layer-2', 'layer-3', 'layer-4', 'layer-5'] as const

/** Both contenders get the same objects: native dependsOn, and Lockstep's layers as labels. */
export function chainOf({ kind, namespace, url, kubeconfig }: ChainOptions): Chain {
  const sourceRef = { kind: 'GitRepository', name: 'fleet' }
  const specs = {
    Kustomization: () => ({ prune: true }),
    Terraform: (name: string) => ({
      ...{ approvePlan: 'auto', runnerTerminationGracePeriodSeconds: 1 },
      backendConfig: { secretSuffix: name, inClusterConfig: false, configPath: kubeconfig },
    }),
  }
  const apiVersions = {
    Kustomization: 'kustomize.toolkit.fluxcd.io/v1',
    Terraform: 'infra.contrib.fluxcd.io/v1alpha2',
  }
  const members = chainLayers.map((name, index): KubernetesObject => {
    const before = chainLayers[index - 1]
    return {
      apiVersion: apiVersions[kind],
      kind,
      metadata: { name, namespace, labels: { 'lockstep.dev/layer': name } },
      spec: {
        ...{ interval: '1h', path: `./${name}`, sourceRef, ...specs[kind](name) },
        ...(before && { dependsOn: [{ name: before }] }),
      },
    }
  })
  const source = {
    apiVersion: 'source.toolkit.fluxcd.io/v1',
    kind: 'GitRepository',
    metadata: { name: 'fleet', namespace },
    spec: { interval: '1h', url, ref: { branch: 'main' } },
  }
  const content = {
    Kustomization: (name: string, number: number) => ({
      [`${name}/config.yaml`]: yaml({
        ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { number: `${number}` } },
      }),
    }),
    Terraform: (name: string, number: number, seconds: number) => ({
      [`${name}/main.tf`]: mainTf,
      ...run(name, number, seconds),
    }),
  }
  return {
    kind,
    names: chainLayers,
    objects: [source, ...members],
    files: (number, seconds) => Object.assign({}, ...chainLayers.map((name) => content[kind](name, number, seconds))),
  }
}
