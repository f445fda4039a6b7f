import { kinds } from '../cluster/kinds.ts'

/** tofu-controller's Deployment as its chart makes it. */
export function controllerDeployment(namespace: string, replicas: number) {
  const name = 'tofu-controller'
  const labels = { 'app.kubernetes.io/name': name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'manager', image: 'manager' }] } }
  return {
    ...kinds.Deployment,
    metadata: { namespace, name, labels },
    spec: { replicas, selector: { matchLabels: labels }, template },
  }
}
