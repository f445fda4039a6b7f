import type { Kind, ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'

const apiVersions: Record<Kind, string> = {
  GitRepository: 'source.toolkit.fluxcd.io/v1',
  OCIRepository: 'source.toolkit.fluxcd.io/v1',
  HelmChart: 'source.toolkit.fluxcd.io/v1',
  Kustomization: 'kustomize.toolkit.fluxcd.io/v1',
  HelmRelease: 'helm.toolkit.fluxcd.io/v2',
  Terraform: 'infra.contrib.fluxcd.io/v1alpha2',
}

export function ref(kind: Kind, name: string): ObjectRef {
  return { kind, namespace: 'flux-system', name }
}

export function manifest(kind: Kind, name: string, spec: object, annotations?: Record<string, string>): object {
  const metadata = { name, namespace: 'flux-system', ...(annotations && { annotations }) }
  return { apiVersion: apiVersions[kind], kind, metadata, spec }
}

export function gitRepository(url: string, spec: object = {}): object {
  return manifest('GitRepository', 'fleet', { interval: '1h', url, ref: { branch: 'main' }, ...spec })
}

const sourceRef = { kind: 'GitRepository', name: 'fleet' }

export function kustomization(name: string, spec: object = {}, annotations?: Record<string, string>): object {
  return manifest(
    'Kustomization',
    name,
    { interval: '1h', path: `./${name}`, prune: true, sourceRef, ...spec },
    annotations,
  )
}

export function terraform(name: string, spec: object = {}, annotations?: Record<string, string>): object {
  const usual = { interval: '1h', path: `./${name}`, approvePlan: 'auto', sourceRef }
  return manifest('Terraform', name, { ...usual, ...spec }, annotations)
}

export function helmRelease(name: string, spec: object = {}): object {
  const chart = { spec: { chart: './charts/app', sourceRef } }
  return manifest('HelmRelease', name, { interval: '1h', chart, ...spec })
}

export function configMap(name: string, data: Record<string, string> = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data }
}

export const chartFile = { apiVersion: 'v2', name: 'app', version: '0.1.0' }
