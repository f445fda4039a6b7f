import { setTimeout as pause } from 'node:timers/promises'
import type { Api } from './api.ts'
import { kinds } from './kinds.ts'

/** As kubelets have it: a Lease is renewed this often, and the Node's own status much less often. */
const renewEveryMs = 10_000
const statusEveryMs = 300_000
const leaseNamespace = 'kube-node-lease'

/** A Node in the API, and the signs of life that its kubelet gives. Nobody acts on it: it is there to be looked at. */
export interface RegisteredNode {
  /** Gives no more signs of life. The Node stays as it is. */
  silence(): Promise<void>
}

/** Creates the Node, ready, and keeps saying so. */
export async function registerNode(api: Api, name: string): Promise<RegisteredNode> {
  const silent = new AbortController()
  await api.apply({ ...kinds.Node, metadata: { name, labels: { 'kubernetes.io/hostname': name } } })
  await sayReady(api, name)
  await renew(api, name)
  const living = live(api, name, silent.signal)
  return {
    silence: () => {
      silent.abort()
      return living
    },
  }
}

async function live(api: Api, name: string, signal: AbortSignal): Promise<void> {
  for (let beats = 1; ; beats++) {
    await pause(renewEveryMs, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    const isStatusDue = beats % (statusEveryMs / renewEveryMs) === 0
    // Where the API server is away the next beat may find it back.
    await Promise.allSettled([renew(api, name), isStatusDue && sayReady(api, name)])
  }
}

async function sayReady(api: Api, name: string): Promise<void> {
  const now = `${new Date().toISOString().slice(0, 19)}Z`
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
  const conditions = [{ ...ready, lastHeartbeatTime: now }]
  await api.patch({ ...kinds.Node, name }, { status: { conditions } }, { type: 'strategic', subresource: 'status' })
}

async function renew(api: Api, name: string): Promise<void> {
  const renewTime = new Date().toISOString().replace('Z', '000Z')
  await api.apply({
    ...kinds.Lease,
    metadata: { namespace: leaseNamespace, name },
    spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime },
  })
}
