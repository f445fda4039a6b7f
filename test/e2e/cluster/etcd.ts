import { join } from 'node:path'
import type { Guardian } from './guardian.ts'
import { answers } from './http-probe.ts'
import { startOnFreePorts } from './on-free-ports.ts'
import { Process } from './process.ts'

export interface EtcdOptions {
  readonly binary: string
  readonly guardian: Guardian
}

export interface Etcd {
  readonly process: Process
  readonly url: string
}

/** One member with a data directory of its own. Throws what `Process.start` throws. */
export async function startEtcd({ binary, guardian }: EtcdOptions): Promise<Etcd> {
  const { process, ports } = await startOnFreePorts(2, ([client = 0, peer = 0]) => {
    const clientUrl = `http://127.0.0.1:${client}`
    const peerUrl = `http://127.0.0.1:${peer}`
    return new Process({
      name: 'etcd',
      guardian,
      log: join(guardian.directory, 'etcd.log'),
      env: {},
      command: [
        binary,
        '--name=cluster',
        `--data-dir=${join(guardian.directory, `etcd-${client}`)}`,
        // The data does not outlive the cluster: a crash of the machine may lose it.
        '--unsafe-no-fsync',
        `--listen-client-urls=${clientUrl}`,
        `--advertise-client-urls=${clientUrl}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=cluster=${peerUrl}`,
      ],
      ready: () => answers(`${clientUrl}/readyz`),
    })
  })
  return { process, url: `http://127.0.0.1:${ports[0]}` }
}
