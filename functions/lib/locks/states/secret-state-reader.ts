import type { Cluster } from '../../kubernetes/cluster.ts'
import type { StateAddress } from '../backends/lock-place.ts'
import type { StateEvidence } from '../evidence.ts'
import { readStateSecret, secretAddressIn } from './secret-state.ts'
import type { StateReader } from './state-reader.ts'

/** States of OpenTofu's backend `kubernetes`: a Secret with the gzipped state in it. */
export class SecretStateReader implements StateReader {
  private readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  async read(address: StateAddress): Promise<StateEvidence> {
    const found = await readStateSecret(this.cluster, secretAddressIn(this.cluster, address))
    return found?.evidence ?? { exists: false }
  }
}
