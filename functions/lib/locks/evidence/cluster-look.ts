import * as z from 'zod'
import type { Clock } from '../../clock.ts'
import { LockstepError } from '../../errors.ts'
import { type AnyKind, type Cluster, ClusterError, type ObjectRef, refKey } from '../../kubernetes/cluster.ts'
import { listServed } from '../../kubernetes/list-served.ts'
import type { ControllerEvidence, NodesEvidence, ObjectEvidence, Piece, PodEvidence } from '../evidence.ts'
import { configurationData } from './configuration-data.ts'
import {
  type ControllerDeployment,
  controllerAmong,
  controllerEvidence,
  controllerSelector,
  isControllerByName,
  leaderLease,
} from './controller-evidence.ts'
import { type LeaseSeen, leaseSeen } from './lease-seen.ts'
import { type NodeSeen, nodeLeases, nodeSeen, nodesEvidence, type Renewal } from './node-evidence.ts'
import { objectEvidence } from './object-evidence.ts'
import { podEvidence } from './pod-evidence.ts'

export interface ClusterLookOptions {
  readonly cluster: Cluster
  readonly clock: Clock
}

/** Names an object whose kind is known. */
export interface NamespacedName {
  readonly namespace: string
  readonly name: string
}

/** A Secret or ConfigMap that part of a backend's configuration is in. */
export interface ConfigurationRef extends NamespacedName {
  readonly kind: 'Secret' | 'ConfigMap'
}

/** What was read, and when the reading began: it is no older than that. */
interface Read<Value> {
  readonly value: Value
  readonly at: number
}

/** All objects of a kind as they are, and by `namespace/name`. */
interface Listed {
  readonly items: readonly unknown[]
  readonly named: ReadonlyMap<string, unknown>
}

/**
 * One look at one cluster, for one scan. What many locks need is read once, when it is first asked for; a pod is read
 * when it is asked for. A read that fails is a piece of evidence that is unknown, and why.
 */
export class ClusterLook {
  private readonly cluster: Cluster
  private readonly clock: Clock
  private readonly allTerraforms = once(() => this.readAll(() => this.servedTerraforms()))
  private readonly allLeases = once(() => this.readAll(async () => (await this.cluster.list('Lease')).items))
  private readonly nodesSeen = once(() => this.seeNodes())
  private readonly controllerPiece = once(() => this.seeController())
  private readonly configurations = new Map<string, Promise<Record<string, string> | undefined>>()

  constructor({ cluster, clock }: ClusterLookOptions) {
    this.cluster = cluster
    this.clock = clock
  }

  /** All raw Terraform objects; none where the cluster has no such kind. Rejects with ClusterError. */
  async terraforms(): Promise<readonly unknown[]> {
    return (await this.allTerraforms()).value.items
  }

  /** All raw Leases. Rejects with ClusterError. */
  async leases(): Promise<readonly unknown[]> {
    return (await this.allLeases()).value.items
  }

  /** The pod of that name as it is now. */
  pod({ namespace, name }: NamespacedName): Promise<Piece<PodEvidence>> {
    const ref = { kind: 'Pod', namespace, name } as const
    return this.piece(refKey(ref), () =>
      this.read(async () => {
        const raw = await this.getIfThere(ref)
        return raw === undefined ? { exists: false } : podEvidence(refKey(ref), raw)
      }),
    )
  }

  /** The cluster's nodes; `own` is the one that a pod is bound to. It is `gone` only when it was looked for by name. */
  nodes(own: string | undefined): Promise<Piece<NodesEvidence>> {
    return this.piece('Nodes and their Leases', async () => {
      const { value: nodes, at } = await this.nodesSeen()
      // It may be younger than the list.
      const isMissing = own !== undefined && !nodes.some(({ name }) => name === own)
      const late = isMissing ? await this.seeNode(own) : undefined
      return { value: nodesEvidence(late ? [...nodes, late] : nodes, own), at }
    })
  }

  /** tofu-controller, by its Deployment. */
  controller(): Promise<Piece<ControllerEvidence>> {
    return this.controllerPiece()
  }

  /** A Terraform object as it was when all of them were read. */
  object({ namespace, name }: NamespacedName): Promise<Piece<ObjectEvidence>> {
    const what = refKey({ kind: 'Terraform', namespace, name })
    return this.piece(what, async () => {
      const { value, at } = await this.allTerraforms()
      const raw = value.named.get(`${namespace}/${name}`)
      return { value: raw === undefined ? { exists: false } : objectEvidence(what, raw), at }
    })
  }

  /**
   * What a Secret or ConfigMap holds as text; undefined where it does not exist. Rejects with ClusterError, and
   * UnexpectedShape. Never part of any evidence.
   */
  readonly readConfiguration = ({
    kind,
    namespace,
    name,
  }: ConfigurationRef): Promise<Record<string, string> | undefined> => {
    const ref = { kind, namespace, name }
    const known = this.configurations.get(refKey(ref))
    if (known) return known
    const reading = this.getIfThere(ref).then((raw) =>
      raw === undefined ? undefined : configurationData(kind, refKey(ref), raw),
    )
    this.configurations.set(refKey(ref), reading)
    return reading
  }

  private async seeNodes(): Promise<Read<readonly NodeSeen[]>> {
    // Without the Leases, what is known of a node may be 5 minutes old: it must not be taken for silent.
    const [nodes, leases] = await Promise.all([
      this.read(async () => (await this.cluster.list('Node')).items),
      this.allLeases(),
    ])
    const seen = nodes.value.map((raw) => nodeSeen(raw, renewalsIn(leases), nodes.at))
    return { value: seen, at: Math.min(nodes.at, leases.at) }
  }

  private async seeNode(name: string): Promise<NodeSeen | undefined> {
    const { value: raw, at } = await this.read(() => this.getIfThere({ kind: 'Node', namespace: '', name }))
    return raw === undefined ? undefined : nodeSeen(raw, renewalsIn(await this.allLeases()), at)
  }

  private seeController(): Promise<Piece<ControllerEvidence>> {
    return this.piece('tofu-controller, its pods and its Lease', async () => {
      const { value: deployment, at } = await this.read(() => this.controllerDeployment())
      if (!deployment) return { value: { replicas: 0, ready: 0, pods: [] }, at }
      const { namespace, podSelector } = deployment
      const [pods, leases] = await Promise.all([
        this.cluster.list('Pod', { namespace, labelSelector: podSelector }),
        this.allLeases(),
      ])
      const leader = leaseIn(leases, namespace, leaderLease)
      // The age of the leader's Lease is that at the time when the Leases were read.
      return { value: controllerEvidence(deployment, pods.items, leader), at: Math.min(at, leases.at) }
    })
  }

  /** By its label; only where nothing has that, by its name among all Deployments of the cluster. */
  private async controllerDeployment(): Promise<ControllerDeployment | undefined> {
    const { items: labelled } = await this.cluster.list('Deployment', { labelSelector: controllerSelector })
    if (labelled.length > 0) return controllerAmong(labelled)
    const { items } = await this.cluster.list('Deployment')
    return controllerAmong(items.filter(isControllerByName))
  }

  private async servedTerraforms(): Promise<readonly unknown[]> {
    return (await listServed(this.cluster, 'Terraform')) ?? []
  }

  private async getIfThere(ref: ObjectRef<AnyKind>): Promise<unknown> {
    try {
      return await this.cluster.get(ref)
    } catch (error) {
      if (error instanceof ClusterError && error.name === 'ClusterNotFound') return undefined
      throw error
    }
  }

  private async read<Value>(reading: () => Promise<Value>): Promise<Read<Value>> {
    const at = this.clock.now()
    return { value: await reading(), at }
  }

  private readAll(list: () => Promise<readonly unknown[]>): Promise<Read<Listed>> {
    return this.read(async () => {
      const items = await list()
      return { items, named: byName(items) }
    })
  }

  private async piece<Value>(what: string, reading: () => Promise<Read<Value>>): Promise<Piece<Value>> {
    const source = `${what} in ${this.cluster.name}`
    const askedAt = this.clock.now()
    try {
      const { value, at } = await reading()
      return { source, readAt: at, reading: { value } }
    } catch (error) {
      return { source, readAt: askedAt, reading: { unknown: reasonOf(error) } }
    }
  }
}

/** Our own errors say what happened, without secrets; what others say is not known to be fit for showing. */
function reasonOf(error: unknown): string {
  if (error instanceof LockstepError) return error.message
  return `could not be read (${error instanceof Error ? error.name : 'unknown error'})`
}

function renewalsIn(leases: Read<Listed>): (node: string) => Renewal | undefined {
  return (node) => {
    const renewedAt = leaseIn(leases, nodeLeases, node)?.renewedAt
    return renewedAt === undefined ? undefined : { renewedAt, readAt: leases.at }
  }
}

function leaseIn({ value: { named } }: Read<Listed>, namespace: string, name: string): LeaseSeen | undefined {
  const raw = named.get(`${namespace}/${name}`)
  return raw === undefined ? undefined : leaseSeen(`Lease/${namespace}/${name}`, raw)
}

const namedSchema = z.object({ metadata: z.object({ namespace: z.string(), name: z.string() }) })

/** Only what is asked for by its name is looked into further. */
function byName(items: readonly unknown[]): ReadonlyMap<string, unknown> {
  const named = new Map<string, unknown>()
  for (const raw of items) {
    const metadata = namedSchema.safeParse(raw).data?.metadata
    if (metadata) named.set(`${metadata.namespace}/${metadata.name}`, raw)
  }
  return named
}

function once<Value>(read: () => Promise<Value>): () => Promise<Value> {
  let reading: Promise<Value> | undefined
  return () => {
    reading ??= read()
    return reading
  }
}
