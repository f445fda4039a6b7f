import type { KubernetesObject } from '../../kubernetes/object-store.ts'
import type { TerraformRun } from './terraform-object.ts'

/** Says which process of the controller made a runner: one of another process is replaced. */
export const tlsSecretLabel = 'tf.weave.works/tls-secret-name'

export const runnerPort = 30_000

/** The pod's name is used again by every run of the object; its uid is not. */
export function runnerName(terraform: string): string {
  return `${terraform}-tf-runner`
}

export function runnerPod(run: TerraformRun, revision: string, tlsSecretName: string): KubernetesObject {
  const { apiVersion, kind, metadata } = run.object
  const { runnerTerminationGracePeriodSeconds, serviceAccountName } = run.spec
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: runnerName(run.name),
      namespace: run.namespace,
      labels: {
        'app.kubernetes.io/created-by': 'tofu-controller',
        'app.kubernetes.io/name': 'tf-runner',
        'app.kubernetes.io/instance': `tf-runner-${revision.split(':').at(-1)?.slice(0, 8)}`,
        'infra.contrib.fluxcd.io/terraform': run.namespace,
        [tlsSecretLabel]: tlsSecretName,
      },
      ownerReferences: [{ apiVersion, kind, name: run.name, uid: metadata.uid, controller: true }],
    },
    spec: {
      serviceAccountName,
      terminationGracePeriodSeconds: runnerTerminationGracePeriodSeconds,
      containers: [
        {
          name: 'tf-runner',
          image: 'ghcr.io/flux-iac/tf-runner:v0.16.5',
          args: ['--grpc-port', `${runnerPort}`, '--tls-secret-name', tlsSecretName],
          ports: [{ name: 'grpc', containerPort: runnerPort }],
          env: [
            { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
          ],
        },
      ],
    },
  }
}
