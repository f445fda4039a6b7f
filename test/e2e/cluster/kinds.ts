import { resources } from '../../../functions/lib/kubernetes/cluster.ts'

/** A kind at a version, as in the head of a manifest. */
export interface Kind {
  readonly apiVersion: string
  readonly kind: string
}

const flux = (name: keyof typeof resources): Kind => {
  const { group, version, kind } = resources[name]
  return { apiVersion: `${group}/${version}`, kind }
}

/** The kinds that clusters are set up and looked at with. */
export const kinds = {
  GitRepository: flux('GitRepository'),
  OCIRepository: flux('OCIRepository'),
  HelmChart: flux('HelmChart'),
  Kustomization: flux('Kustomization'),
  HelmRelease: flux('HelmRelease'),
  Terraform: flux('Terraform'),
  Namespace: { apiVersion: 'v1', kind: 'Namespace' },
  Node: { apiVersion: 'v1', kind: 'Node' },
  Pod: { apiVersion: 'v1', kind: 'Pod' },
  ConfigMap: { apiVersion: 'v1', kind: 'ConfigMap' },
  Secret: { apiVersion: 'v1', kind: 'Secret' },
  ServiceAccount: { apiVersion: 'v1', kind: 'ServiceAccount' },
  Event: { apiVersion: 'v1', kind: 'Event' },
  Deployment: { apiVersion: 'apps/v1', kind: 'Deployment' },
  Lease: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
  HorizontalPodAutoscaler: { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' },
  CustomResourceDefinition: { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
} as const satisfies Record<string, Kind>
