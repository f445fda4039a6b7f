import * as z from 'zod'
import type { Clock } from '../../functions/lib/clock.ts'
import type { Fleet } from '../../functions/lib/fleet.ts'
import { roleIn } from '../../functions/lib/kubernetes/cluster-role.ts'
import { type ApiServer, startApiServer } from './kubernetes/api-server.ts'
import { type EksServer, startEksServer, verifyToken } from './kubernetes/eks-server.ts'
import { MemoryObjectStore } from './kubernetes/memory-object-store.ts'
import type { KubernetesObject } from './kubernetes/object-store.ts'
import { type StsRole, type StsServer, startStsServer } from './kubernetes/sts-server.ts'
import type { Durations } from './simulation/durations.ts'
import { GitServer, type Tree } from './simulation/git-server.ts'
import { ClusterSimulation } from './simulation/simulation.ts'
import type { PlanChanges } from './simulation/tofu/infrastructure.ts'
import type { OpenBackend } from './simulation/tofu/state-backends.ts'
import type { Activity } from './virtual-clock.ts'

/** One simulated cluster: its controllers and the API server in front of it. */
export interface SimulatedCluster {
  readonly name: string
  readonly simulation: ClusterSimulation
  readonly api: ApiServer
}

/** The role that clusters know, in an account that there cannot be. */
export const localClusterRole = 'arn:aws:iam::000000000000:role/Lockstep-local'

/** The clusters of a fleet, a Git server that all of them fetch from, the EKS that tells where they are, and STS. */
export interface SimulatedFleet {
  readonly git: GitServer
  readonly clusters: ReadonlyMap<string, SimulatedCluster>
  readonly eks: EksServer
  /** Gives credentials of `localClusterRole`, and of the roles of that name in the fleet's other accounts. */
  readonly sts: StsServer
  close(): Promise<void>
}

export interface SimulatedFleetOptions {
  readonly fleet: Fleet
  readonly clock: Clock
  readonly activity: Activity
  readonly speedups?: Partial<Durations>
  readonly planChanges?: PlanChanges
  /** Where states on other backends than Kubernetes are. Default: they are kept in memory. */
  readonly openBackend?: OpenBackend
}

/** Starts the simulated clusters, empty. Load objects into `simulation`, then call its `start`. */
export async function startSimulatedFleet(options: SimulatedFleetOptions): Promise<SimulatedFleet> {
  const { fleet, clock, activity } = options
  const git = new GitServer()
  const clusters = new Map<string, SimulatedCluster>()
  for (const { name, eks, region } of fleet.clusters) {
    const store = new MemoryObjectStore({ clock })
    const simulation = new ClusterSimulation({ ...options, name, git, store })
    const authenticate = (token: string) => verifyToken(token, { clock, eks, region })
    clusters.set(name, { name, simulation, api: await startApiServer({ store, clock, activity, authenticate }) })
  }
  const endpoints = fleet.clusters.map(({ name, eks }) => ({ name: eks, endpoint: clusters.get(name)?.api.url ?? '' }))
  const eks = await startEksServer(endpoints, { activity })
  const sts = await startStsServer(fleet.clusters.map(roleOf), { clock, activity })
  return {
    git,
    clusters,
    eks,
    sts,
    close: async () => {
      for (const { simulation, api } of clusters.values()) {
        simulation.stop()
        await api.close()
      }
      await eks.close()
      await sts.close()
    },
  }
}

function roleOf({ account, externalId }: Fleet['clusters'][number]): StsRole {
  return { arn: roleIn(account, localClusterRole), ...(externalId !== undefined && { externalId }) }
}

/**
 * Puts a repository's tree into the simulation as if it had been bootstrapped and reconciled at `commit`: each cluster
 * gets the objects below `clusters/<its name>`, or all of the tree where there is no such directory, and whatever
 * their Kustomizations apply. Repositories of others, that GitRepositories in the tree name, are empty. Rejects where a
 * state cannot be written.
 */
export async function loadTree(simulated: SimulatedFleet, fleet: Fleet, tree: Tree, commit: string): Promise<void> {
  for (const { name, host, branches } of fleet.repositories) {
    for (const branch of branches) simulated.git.commit(`https://${host}/${name}`, branch, commit, tree)
  }
  for (const { url, branch } of [...tree.values()].flat().flatMap(repositoryIn)) {
    if (!simulated.git.has(url)) simulated.git.commit(url, branch, commit)
  }
  for (const { name, simulation } of simulated.clusters.values()) {
    const own = [...tree].filter(([path]) => path.startsWith(`clusters/${name}/`))
    const files = own.length > 0 ? own : [...tree]
    simulation.load(files.flatMap(([, documents]) => documents.filter(isClusterObject)))
    await simulation.loaded()
  }
}

const repositorySchema = z.object({
  kind: z.literal('GitRepository'),
  spec: z.object({ url: z.string(), ref: z.object({ branch: z.string() }).default({ branch: 'master' }) }),
})

function repositoryIn(document: object): { url: string; branch: string }[] {
  const { data } = repositorySchema.safeParse(document)
  return data ? [{ url: data.spec.url, branch: data.spec.ref.branch }] : []
}

function isClusterObject(document: object): document is KubernetesObject {
  const { apiVersion, kind, metadata } = document as Partial<KubernetesObject>
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || typeof metadata?.name !== 'string') return false
  // A kustomization.yaml is an instruction to kustomize, not an object.
  return !apiVersion.startsWith('kustomize.config.k8s.io/')
}
