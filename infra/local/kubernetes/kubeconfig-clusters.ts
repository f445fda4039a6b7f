import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import type { Clock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { ClusterAccess } from '../../../functions/lib/kubernetes/cluster-access.ts'
import { KubernetesClient } from '../../../functions/lib/kubernetes/kubernetes-client.ts'

export interface KubeconfigClustersOptions {
  readonly clock: Clock
  readonly file: string
  /** Default: the file's current context. */
  readonly context?: string
}

/** As ClusterAccess; each cluster comes with its connection, for questions that the Cluster port has no word for. */
export interface KubeconfigClusters extends ClusterAccess {
  /** The context's name. */
  readonly context: string
  connect(name: string): Promise<KubernetesClient>
}

/**
 * Access to the one cluster that a kubeconfig file's context names, whatever name Lockstep knows it by. The file is
 * read here. Throws KubeconfigUnreadable (no such file, or no kubeconfig) and KubeconfigContextMissing.
 */
export function kubeconfigClusters({ clock, file, context }: KubeconfigClustersOptions): KubeconfigClusters {
  const config = readKubeconfig(file)
  const chosen = choose(config, file, context)
  const clusters = new Map<string, KubernetesClient>()
  return {
    context: chosen,
    async connect(name) {
      const cluster = clusters.get(name) ?? new KubernetesClient({ name, clock, config })
      clusters.set(name, cluster)
      return cluster
    },
  }
}

function readKubeconfig(file: string): KubeConfig {
  const config = new KubeConfig()
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error'
    throw unreadable(file, `cannot be read (${code})`)
  }
  try {
    config.loadFromString(text)
  } catch {
    // The parser quotes what it stumbles over, and the file holds credentials.
    throw unreadable(file, 'is no kubeconfig')
  }
  if (config.getContexts().length === 0) throw unreadable(file, 'is no kubeconfig: it has no contexts')
  config.makePathsAbsolute(dirname(file))
  return config
}

function choose(config: KubeConfig, file: string, wanted: string | undefined): string {
  const names = config.getContexts().map((context) => context.name)
  const name = wanted ?? config.getCurrentContext()
  if (!name || !names.includes(name)) {
    throw new LockstepError(
      'KubeconfigContextMissing',
      name ? `${file} has no context ${name}.` : `${file} has no current context.`,
      `Choose one of ${names.join(', ')} with --context.`,
    )
  }
  config.setCurrentContext(name)
  const cluster = config.getCurrentCluster()
  if (cluster?.server.startsWith('http:') && !cluster.skipTLSVerify) {
    // client-node refuses it later, with an error that names no cause.
    throw unreadable(file, `has a server without TLS for context ${name}; say insecure-skip-tls-verify: true there`)
  }
  if (!cluster?.server) throw unreadable(file, `has no server for the cluster of context ${name}`)
  return name
}

function unreadable(file: string, why: string): LockstepError {
  return new LockstepError(
    'KubeconfigUnreadable',
    `${file} ${why}.`,
    'Give the path of a kubeconfig with --kubeconfig.',
  )
}
