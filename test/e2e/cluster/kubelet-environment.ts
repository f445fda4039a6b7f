import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Pod } from './kubelet-pod-schema.ts'

/** The container asks for something that a kubelet would know and this one does not. */
export class ContainerConfigError extends LockstepError {
  constructor(pod: Pod, message: string) {
    const { namespace, name } = pod.metadata
    super('ContainerConfigError', `Pod ${namespace}/${name}: ${message}`, 'Leave it out, or teach it to the kubelet.')
  }
}

/**
 * A pod never gets these. The tofu manager copies its own into the runner pods, and everything that a runner talks to
 * is on loopback.
 */
const proxies = /^(https?|no|all)_proxy$/i

/**
 * The environment of the pod's container: plain values, and the fields of the pod that stand still.
 * Throws ContainerConfigError for any other source.
 */
export function containerEnvironment(pod: Pod, nodeName: string, ip: string): Record<string, string> {
  const { env, envFrom } = pod.spec.containers[0]
  if (envFrom.length > 0) throw new ContainerConfigError(pod, 'envFrom is not supported.')
  const fields: Record<string, string> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace,
    'metadata.uid': pod.metadata.uid,
    'spec.nodeName': nodeName,
    'status.podIP': ip,
  }
  const entries = env
    .filter(({ name }) => !proxies.test(name))
    .map(({ name, value, valueFrom }): [string, string] => {
      if (!valueFrom) return [name, value ?? '']
      const field = fields[valueFrom.fieldRef?.fieldPath ?? '']
      if (field !== undefined) return [name, field]
      throw new ContainerConfigError(pod, `the source of the variable ${name} is not supported.`)
    })
  return Object.fromEntries(entries)
}
