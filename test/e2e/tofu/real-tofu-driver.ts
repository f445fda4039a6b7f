import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { KubeConfig } from '@kubernetes/client-node'
import { stringify } from 'yaml'
import { systemClock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type Cluster, type ObjectRef, refKey } from '../../../functions/lib/kubernetes/cluster.ts'
import { KubernetesClient } from '../../../functions/lib/kubernetes/kubernetes-client.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import {
  type LockRecord,
  newLockRecord,
  parseLockRecord,
  renderLockRecord,
} from '../../../infra/local/simulation/tofu/lock-record.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'
import type { DrivenPod, DrivenState, TofuDriver } from '../../contracts/tofu-driver.ts'
import type { ObjectKey } from '../cluster/api.ts'
import type { RunningCluster } from '../cluster/cluster.ts'
import { kinds } from '../cluster/kinds.ts'
import type { RunningTofuController } from '../cluster/tofu-controller.ts'
import { deploymentKey } from '../cluster/tofu-controller-deployment.ts'
import { RealDriver } from '../real-driver.ts'
import { readState } from './state-file.ts'
import { terraformFiles } from './terraform-files.ts'

/** The Deployment that a cluster of these drivers has to have: with little patience, so that tests need little. */
export const briskDeployment = { gracefulShutdownSeconds: 10, terminationGraceSeconds: 20, runnerCreationSeconds: 20 }

/** Makes the cluster's controller run tofu in its own process, and waits until it does. */
export async function withLocalRunner({ api, tofu }: RunningCluster): Promise<void> {
  const container = { name: 'tofu-controller', env: [{ name: 'INSECURE_LOCAL_RUNNER', value: '1' }] }
  const spec = { strategy: { type: 'Recreate', rollingUpdate: null }, template: { spec: { containers: [container] } } }
  const { metadata } = await api.patch(deploymentKey, { spec }, { type: 'strategic' })
  await api.until(deploymentKey, 'rolled out', ({ status }) => {
    return status?.observedGeneration >= (metadata.generation ?? 0) && status?.updatedReplicas === 1
  })
  await tofu?.faults.managerReady()
}

const lockInfo = 'app.terraform.io/lock-info'
const tlsSecretLabel = 'tf.weave.works/tls-secret-name'
const folders = ['vpc', 'db']

/** tofu-controller, real or simulated, as pods of a real API server, with the real OpenTofu. */
export class RealTofuDriver extends RealDriver implements TofuDriver {
  readonly longWaitMs = 12_000
  readonly gracefulShutdownMs = briskDeployment.gracefulShutdownSeconds * 1_000
  readonly lockstep: Cluster
  readonly activity = noActivity
  readonly #tofu: RunningTofuController
  readonly #watching = new AbortController()
  readonly #seconds = new Map<string, number>()
  #pushes = 0
  #tlsSecret = ''

  private constructor(cluster: RunningCluster, tofu: RunningTofuController, namespace: string, url: string) {
    super(cluster, namespace, url)
    this.#tofu = tofu
    const config = new KubeConfig()
    config.loadFromFile(cluster.kubeconfigs.lockstep)
    this.lockstep = new KubernetesClient({ name: 'staging', config, clock: systemClock })
  }

  static override async start(cluster: RunningCluster): Promise<RealTofuDriver> {
    const { tofu } = cluster
    if (!tofu) throw new LockstepError('NoTofuController', 'The cluster has no tofu-controller.', 'Start it with one.')
    const driver = new RealTofuDriver(cluster, tofu, ...(await RealDriver.place(cluster)))
    await mkdir(driver.#brokenDirectory, { recursive: true })
    void driver.#watchRunners()
    return driver
  }

  /** Changes the plans of every folder that it has files of; all are there from the first push on. */
  override async push(files: Record<string, readonly object[]> = {}): Promise<string> {
    const changed = folders.filter((name) => Object.keys(files).some((path) => path.startsWith(`${name}/`)))
    const plans = this.#plans(this.#pushes === 0 ? folders : changed)
    const texts = Object.entries(files)
      .filter(([, documents]) => documents.length > 0)
      .map(([path, documents]) => [path, documents.map((document) => stringify(document)).join('---\n')])
    const remove = Object.keys(files).filter((path) => files[path]?.length === 0)
    return this.#commit({ ...plans, ...Object.fromEntries(texts) }, remove)
  }

  async pushWithoutChanges(): Promise<string> {
    return this.#commit({ 'README.md': `${this.#pushes}\n` })
  }

  async pushApply({ name }: ObjectRef, seconds: number): Promise<string> {
    this.#seconds.set(name, seconds)
    return this.#commit(this.#plans(this.#pushes === 0 ? folders : [name]))
  }

  override async apply(object: object): Promise<void> {
    const { kind, metadata, spec, ...rest } = object as KubernetesObject
    if (kind !== 'Terraform') return super.apply(object)
    const configPath = this.cluster.kubeconfigs.admin
    const backendConfig = { secretSuffix: metadata.name, inClusterConfig: false, configPath }
    return super.apply({ ...rest, kind, metadata, spec: { backendConfig, ...spec } })
  }

  async breakApply(ref: ObjectRef): Promise<void> {
    await writeFile(this.#brokenFile(ref.name), '')
  }

  async mend(ref: ObjectRef): Promise<void> {
    await rm(this.#brokenFile(ref.name), { force: true })
  }

  async patchStatus(ref: ObjectRef, status: object): Promise<void> {
    await this.cluster.api.patch({ ...kinds[ref.kind], ...ref }, { status }, { subresource: 'status' })
  }

  async pod(ref: ObjectRef): Promise<DrivenPod | undefined> {
    const pod = await this.#tofu.faults.runnerPod(refKey(ref))
    if (!pod) return undefined
    const [container] = pod.status?.containerStatuses ?? []
    const startedAt = container?.state?.running?.startedAt
    return {
      uid: pod.metadata.uid ?? '',
      phase: pod.status?.phase ?? 'Pending',
      ready: container?.ready === true,
      restarts: container?.restartCount ?? 0,
      startedAt: startedAt === undefined ? undefined : Date.parse(startedAt),
      terminating: pod.metadata.deletionTimestamp !== undefined,
    }
  }

  async killRunner(ref: ObjectRef, mode: 'restart' | 'fail'): Promise<void> {
    await this.#tofu.faults.killRunner(refKey(ref), mode)
    if (mode === 'fail') await this.cluster.api.until(this.#runner(ref), 'Failed', isFailed)
  }

  async deleteRunner(ref: ObjectRef): Promise<void> {
    await this.#tofu.faults.deleteRunner(refKey(ref))
  }

  async forceDeleteRunner(ref: ObjectRef): Promise<void> {
    await this.#tofu.faults.forceDeleteRunner(refKey(ref))
  }

  /** A pod that looks like the controller's own and that no node takes. */
  async loseRunner(ref: ObjectRef): Promise<void> {
    const { namespace, name } = this.#runner(ref)
    const labels = { [tlsSecretLabel]: this.#tlsSecret }
    const spec = { containers: [{ name: 'tf-runner', image: 'none' }] }
    await this.cluster.api.create({ ...kinds.Pod, metadata: { name, namespace, labels }, spec })
  }

  async findRunner(ref: ObjectRef): Promise<void> {
    await this.cluster.api.delete(this.#runner(ref))
  }

  async lock(ref: ObjectRef): Promise<LockRecord | undefined> {
    const lease = await this.cluster.api.find(this.#lease(ref))
    if (!lease?.spec?.holderIdentity) return undefined
    const record = parseLockRecord(lease.metadata.annotations?.[lockInfo])
    if (!record) throw new LockstepError('LockUnreadable', JSON.stringify(lease), 'See what OpenTofu writes.')
    return record
  }

  async takeLock(ref: ObjectRef): Promise<LockRecord> {
    const record = newLockRecord('OperationTypeApply', 'ana@laptop', '', Date.now())
    const lease = this.#lease(ref)
    const annotations = { [lockInfo]: renderLockRecord(record) }
    const metadata = { name: lease.name, namespace: lease.namespace, annotations }
    await this.cluster.api.apply({ ...kinds.Lease, metadata, spec: { holderIdentity: record.ID } })
    return record
  }

  async breakLock(ref: ObjectRef): Promise<void> {
    const released = { metadata: { annotations: { [lockInfo]: null } }, spec: { holderIdentity: null } }
    await this.cluster.api.patch(this.#lease(ref), released)
  }

  async state({ namespace, name }: ObjectRef): Promise<DrivenState | undefined> {
    const secret = await this.cluster.api.find({ ...kinds.Secret, namespace, name: `tfstate-default-${name}` })
    const data = (secret?.data as { tfstate?: string } | undefined)?.tfstate
    if (data === undefined) return undefined
    return readState(gunzipSync(Buffer.from(data, 'base64')).toString())
  }

  async killManager(options: { readonly connections: 'closed' | 'black-holed' }): Promise<void> {
    await this.#tofu.faults.killManager(options)
  }

  async startManager(): Promise<void> {
    await this.#tofu.faults.startManager()
  }

  async scale(replicas: number): Promise<void> {
    await this.#tofu.faults.scale(replicas)
  }

  async managers(): Promise<number> {
    return (await this.#tofu.faults.managerPods()).length
  }

  /** Leaves the controller running, whatever was done to it. */
  override async stop(): Promise<void> {
    this.#watching.abort()
    await this.#tofu.faults.startManager()
    await super.stop()
  }

  #plans(names: readonly string[]): Record<string, string> {
    const files = names.map((name) =>
      terraformFiles(name, {
        number: this.#pushes,
        seconds: this.#seconds.get(name) ?? 0,
        brokenBy: this.#brokenFile(name),
      }),
    )
    return Object.assign({}, ...files)
  }

  async #commit(files: Record<string, string>, remove: readonly string[] = []): Promise<string> {
    this.#pushes += 1
    return `main@sha1:${await this.cluster.git.commit(this.namespace, 'main', { files, remove })}`
  }

  async #watchRunners(): Promise<void> {
    const selection = { namespace: this.namespace, labelSelector: tlsSecretLabel, signal: this.#watching.signal }
    for await (const { object } of this.cluster.api.follow(kinds.Pod, selection)) {
      this.#tlsSecret = object.metadata.labels?.[tlsSecretLabel] ?? ''
    }
  }

  #runner({ namespace, name }: ObjectRef): ObjectKey & { readonly namespace: string } {
    return { ...kinds.Pod, namespace, name: `${name}-tf-runner` }
  }

  #lease({ namespace, name }: ObjectRef): ObjectKey & { readonly namespace: string } {
    return { ...kinds.Lease, namespace, name: `lock-tfstate-default-${name}` }
  }

  get #brokenDirectory(): string {
    return join(this.cluster.directory, 'broken')
  }

  #brokenFile(name: string): string {
    return join(this.#brokenDirectory, `${this.namespace}-${name}`)
  }
}

const isFailed = (pod: KubernetesObject | undefined) => pod?.status?.phase === 'Failed'
