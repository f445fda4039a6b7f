import { judgeCluster } from '../../../functions/judge/judge.ts'
import { judgeOthers } from '../../../functions/judge-others/judge-others.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import type { LockFigures } from '../../../functions/lib/metrics.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { clusterOf } from '../../../functions/lib/rollout/rollout-step.ts'
import type { LockPorts } from '../../../functions/lib/step.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryEvents, MemoryLockStore, MemoryStates } from '../../fixtures/memory-locks.ts'
import { terraform } from '../../fixtures/raw-objects.ts'

export const minute = 60_000
export const start = Date.parse('2026-03-02T10:00:00Z')
const region = 'us-east-1'

/** As the controller shows an object whose run it waits for. */
export const applying = {
  conditions: [{ type: 'Ready', status: 'Unknown', reason: 'Progressing', message: 'Applying' }],
}

/** An object that is applied, whose state is in bucket `states`, locked in table `locks` and, with `lockfile`, beside the state. */
export const s3Object = (name: string, { key = `${name}.tfstate`, lockfile = false, namespace = 'flux-system' } = {}) =>
  terraform(name, {
    namespace,
    status: applying,
    spec: {
      backendConfig: {
        customConfiguration: `backend "s3" {
          bucket = "states"
          key = "${key}"
          region = "${region}"
          dynamodb_table = "locks"
          use_lockfile = ${lockfile}
        }`,
      },
    },
  })

export const item = (key: string) => ({ store: 'dynamodb', region, table: 'locks', lockId: `states/${key}` }) as const
export const file = (key: string) => ({ store: 's3', bucket: 'states', key: `${key}.tflock` }) as const
export const state = (key: string) => ({ store: 's3', region, bucket: 'states', key }) as const

export const record = (id: string, who: string, createdAt: number, operation = 'OperationTypePlan') =>
  JSON.stringify({
    ...{ ID: id, Operation: operation, Info: '', Who: who, Version: '1.12.1' },
    ...{ Created: new Date(createdAt).toISOString(), Path: '' },
  })

const seconds = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`

/** A runner's pod that runs since `at`. */
export const runnerPod = (name: string, at: number, uid = `uid-${name}`, namespace = 'flux-system') => ({
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: { namespace, name: `${name}-tf-runner`, uid, creationTimestamp: seconds(at) },
  spec: { nodeName: 'node-1', containers: [{ name: 'tf-runner' }] },
  status: {
    phase: 'Running',
    containerStatuses: [
      { name: 'tf-runner', restartCount: 0, containerID: `c-${uid}`, state: { running: { startedAt: seconds(at) } } },
    ],
  },
})

export const heldLease = (name: string, id: string, raw: string) => ({
  ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
  metadata: {
    ...{ namespace: 'flux-system', name, resourceVersion: '7' },
    annotations: { 'app.terraform.io/lock-info': raw },
  },
  spec: { holderIdentity: id },
})

const node = (at: number) => ({
  ...{ apiVersion: 'v1', kind: 'Node' },
  metadata: { name: 'node-1', creationTimestamp: seconds(start - 86_400_000), labels: {} },
  spec: {},
  status: {
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        lastHeartbeatTime: seconds(at),
        lastTransitionTime: seconds(start - 80_000_000),
      },
    ],
  },
})

const nodeLease = (at: number) => ({
  ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
  metadata: { namespace: 'kube-node-lease', name: 'node-1', resourceVersion: '1' },
  spec: { holderIdentity: 'node-1', leaseDurationSeconds: 40, renewTime: new Date(at).toISOString() },
})

/** Two clusters, a table and a bucket in memory, and the scans over them by a clock that a test moves. */
export class ScannedFleet {
  readonly staging = new MemoryCluster('staging')
  readonly production = new MemoryCluster('production')
  readonly table = new MemoryLockStore('DynamoDB table locks in us-east-1')
  readonly bucket = new MemoryLockStore('S3 bucket states')
  readonly states = new MemoryStates()
  readonly events = new MemoryEvents()
  readonly figures: LockFigures[] = []
  now = start
  readonly clock = { now: () => this.now, after: () => () => {} }
  readonly ledger = new MemoryLedger(this.clock)
  readonly ports: LockPorts
  private executions = 0

  constructor() {
    const cluster = (name: string) => ({ name, eks: name, region, environment: name })
    const fleet = parseFleet({
      repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
      clusters: [cluster('staging'), cluster('production')],
      locks: { dynamodb: ['locks'], s3: ['states'] },
    })
    const clusters = new Map([this.staging, this.production].map((each) => [each.name, each]))
    this.ports = {
      ...{ clock: this.clock, fleet, ledger: this.ledger, log: silentLog, sliceMs: 1_000 },
      clusters: { connect: async (name) => clusters.get(name) ?? Promise.reject(new Error('no such cluster')) },
      locks: { stores: [this.table, this.bucket], states: this.states, keeper: this.states },
      events: this.events,
      metrics: { ...silentMetrics, locks: (figures) => this.figures.push(figures) },
    }
  }

  /** The scan of one cluster, or of what belongs to none, as an execution of its own. */
  async scan(of: 'staging' | 'production' | 'others', execution = `scan-${++this.executions}`) {
    for (const each of [this.staging, this.production]) each.put(node(this.now), nodeLease(this.now))
    if (of === 'others') return judgeOthers(execution, this.ports)
    return judgeCluster(clusterOf(this.ports.fleet, of), execution, this.ports)
  }

  /** Everything, as the state machine does it, every two minutes for so long. */
  async scanFor(minutes: number): Promise<void> {
    const until = this.now + minutes * minute
    while (this.now < until) {
      this.now += 2 * minute
      await this.scan('staging')
      await this.scan('production')
      await this.scan('others')
    }
  }

  async observed(object: string): Promise<Observation | undefined> {
    const all = await this.ledger.listObservations()
    return all.find(({ evidence }) => evidence.owner?.object === object)
  }

  /** The verdicts that were told, in order. */
  get told(): string[] {
    return this.events.published.map(({ verdict }) => verdict)
  }
}
