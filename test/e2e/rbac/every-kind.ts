import type { Kind } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { kinds } from '../cluster/kinds.ts'

/** The layers that the objects are in; the first one needs no gate. */
export const layers = ['first', 'network', 'addons', 'apps']

/** One namespace with an object of every kind that Lockstep reads, all fed by one repository. */
export interface EveryKind {
  readonly namespace: string
  /** `my-org/<namespace>` on github.com. */
  readonly repository: string
  readonly objects: readonly KubernetesObject[]
}

export function everyKind(namespace: string): EveryKind {
  const repository = `my-org/${namespace}`
  const make = (kind: Kind, name: string, spec: object, layer?: string): KubernetesObject => ({
    ...kinds[kind],
    metadata: { name, namespace, ...(layer !== undefined && { labels: { 'lockstep.dev/layer': layer } }) },
    spec: { interval: '1h', ...spec },
  })
  const sourceRef = (kind: Kind, name: string) => ({ sourceRef: { kind, name } })
  const git = sourceRef('GitRepository', 'fleet')
  const kustomization = { path: './', prune: true }
  const chart = { chart: './chart', ...git, reconcileStrategy: 'Revision' }
  const objects = [
    make('GitRepository', 'fleet', { url: `https://github.com/${repository}`, ref: { branch: 'main' } }),
    make('OCIRepository', 'artifact', { url: `oci://ghcr.io/${repository}`, ref: { tag: 'latest' } }),
    make('HelmChart', `${namespace}-ingress`, chart),
    make('Kustomization', 'root', { ...kustomization, ...git }, 'first'),
    make('Terraform', 'vpc', { path: './', approvePlan: 'auto', ...git }, 'network'),
    make('HelmRelease', 'ingress', { chart: { spec: chart } }, 'addons'),
    make('Kustomization', 'apps', { ...kustomization, ...sourceRef('OCIRepository', 'artifact') }, 'apps'),
  ]
  return { namespace, repository, objects }
}

/** The status of an object whose controller is done with it as it is, at a commit. */
export function statusAt({ apiVersion, kind, metadata, spec }: KubernetesObject, commit: string): object {
  const revision = `main@sha1:${commit}`
  const chartVersion = `1.0.0+${commit.slice(0, 12)}`
  const digest = `sha256:${commit.padEnd(64, '0')}`
  const artifact = (served: string, more: object = {}) => ({
    artifact: {
      ...{ revision: served, digest, path: `${kind}/${metadata.name}.tar.gz`, url: 'http://127.0.0.1/artifact' },
      ...{ lastUpdateTime: '2026-01-05T09:00:00Z', ...more },
    },
  })
  const origin = {
    'org.opencontainers.image.source': String(spec?.url).replace('oci://ghcr.io', 'https://github.com'),
    'org.opencontainers.image.revision': revision,
  }
  const shown: Record<string, object> = {
    GitRepository: artifact(revision),
    OCIRepository: artifact(`latest@${digest}`, { metadata: origin }),
    HelmChart: { ...artifact(chartVersion), observedSourceArtifactRevision: revision },
    Kustomization: appliedAt(spec?.sourceRef?.kind === 'OCIRepository' ? `latest@${digest}` : revision),
    Terraform: appliedAt(revision),
    HelmRelease: {
      lastAttemptedRevision: chartVersion,
      helmChart: `${metadata.namespace}/${metadata.namespace}-ingress`,
    },
  }
  const token = metadata.annotations?.['reconcile.fluxcd.io/requestedAt']
  return {
    ...{ apiVersion, kind },
    status: {
      ...shown[kind],
      observedGeneration: metadata.generation,
      ...(token !== undefined && { lastHandledReconcileAt: token }),
      conditions: [
        {
          ...{ type: 'Ready', status: 'True', reason: 'Succeeded', message: `at ${commit}` },
          ...{ lastTransitionTime: '2026-01-05T09:00:00Z', observedGeneration: metadata.generation },
        },
      ],
    },
  }
}

const appliedAt = (revision: string) => ({ lastAttemptedRevision: revision, lastAppliedRevision: revision })
