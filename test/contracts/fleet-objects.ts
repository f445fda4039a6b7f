import type { Kind, ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'

const apiVersions: Record<Kind, string> = {
  GitRepository: 'source.toolkit.fluxcd.io/v1',
  OCIRepository: 'source.toolkit.fluxcd.io/v1',
  HelmChart: 'source.toolkit.fluxcd.io/v1',
  Kustomization: 'kustomize.toolkit.fluxcd.io/v1',
  HelmRelease: 'helm.toolkit.fluxcd.io/v2',
  Terraform: 'infra.contrib.fluxcd.io/v1alpha2',
}

type Annotations = Record<string, string>

/** Makes the objects of one small fleet: all in one namespace, all on its one GitRepository `fleet`. */
export interface FleetObjects {
  ref(kind: Kind, name: string): ObjectRef
  manifest(kind: Kind, name: string, spec: object, annotations?: Annotations): object
  gitRepository(url: string, spec?: object): object
  /** Applies what is in the folder of its name. */
  kustomization(name: string, spec?: object, annotations?: Annotations): object
  /** Works on the folder of its name. */
  terraform(name: string, spec?: object, annotations?: Annotations): object
  /** With the chart in ./charts/app. */
  helmRelease(name: string, spec?: object): object
  configMap(name: string, data?: Record<string, string>): object
}

export function fleetObjects(namespace: string): FleetObjects {
  const sourceRef = { kind: 'GitRepository', name: 'fleet' }
  const manifest = (kind: Kind, name: string, spec: object, annotations?: Annotations) => {
    const metadata = { name, namespace, ...(annotations && { annotations }) }
    return { apiVersion: apiVersions[kind], kind, metadata, spec }
  }
  return {
    ref: (kind, name) => ({ kind, namespace, name }),
    manifest,
    gitRepository: (url, spec = {}) =>
      manifest('GitRepository', 'fleet', { interval: '1h', url, ref: { branch: 'main' }, ...spec }),
    kustomization: (name, spec = {}, annotations) => {
      const usual = { interval: '1h', path: `./${name}`, prune: true, sourceRef }
      return manifest('Kustomization', name, { ...usual, ...spec }, annotations)
    },
    terraform: (name, spec = {}, annotations) => {
      const usual = { interval: '1h', path: `./${name}`, approvePlan: 'auto', sourceRef }
      return manifest('Terraform', name, { ...usual, ...spec }, annotations)
    },
    helmRelease: (name, spec = {}) => {
      const chart = { spec: { chart: './charts/app', sourceRef } }
      return manifest('HelmRelease', name, { interval: '1h', chart, ...spec })
    },
    configMap: (name, data = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }),
  }
}

export const chartFile = { apiVersion: 'v2', name: 'app', version: '0.1.0' }
