import type { KubernetesObject } from '../../kubernetes/object-store.ts'

export const controllerLabel = 'app.kubernetes.io/name'
export const controllerName = 'tofu-controller'

/** The chart's Deployment, as far as anybody looks at it. */
export function tofuDeployment(): KubernetesObject {
  const labels = { [controllerLabel]: controllerName, 'app.kubernetes.io/instance': controllerName }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: controllerName, namespace: 'flux-system', labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { name: '', labels },
        spec: {
          serviceAccountName: controllerName,
          terminationGracePeriodSeconds: 250,
          containers: [
            {
              name: 'manager',
              image: 'ghcr.io/flux-iac/tofu-controller:v0.16.5',
              args: ['--watch-all-namespaces=true', '--concurrent=24'],
            },
          ],
        },
      },
    },
  }
}
