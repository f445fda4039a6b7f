import { type Fleet, parseFleet } from '../../functions/lib/fleet.ts'
import { configMap, kustomization, source, terraform } from '../integration/layered-fleet.ts'

/** Objects of one source in the fleet's layers, and what their Kustomizations find in Git. */
export interface BenchFleet {
  /** As a person writes it into cdk.json. */
  readonly written: object
  readonly fleet: Fleet
  readonly objects: readonly object[]
  readonly files: Readonly<Record<string, readonly object[]>>
  readonly objectCount: number
  readonly layerCount: number
}

/**
 * A cluster `staging` whose objects, half Kustomizations and half Terraform, are spread evenly over layers by label.
 * They were put there by hand: none of them is applied by another.
 */
export function benchFleet({ objectCount, layerCount }: { objectCount: number; layerCount: number }): BenchFleet {
  const layers = Array.from({ length: layerCount }, (_, index) => `layer-${index + 1}`)
  const written = {
    repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
    layers,
    clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
  }
  const objects: object[] = [source()]
  const files: Record<string, readonly object[]> = {}
  for (let index = 0; index < objectCount; index++) {
    const layer = layers[Math.floor((index * layerCount) / objectCount)] ?? ''
    const name = `object-${`${index}`.padStart(4, '0')}`
    objects.push(index % 2 === 0 ? kustomization(name, { layer }) : terraform(name, { layer }))
    if (index % 2 === 0) files[`${name}/config.yaml`] = [configMap(name)]
  }
  return { written, fleet: parseFleet(written), objects, files, objectCount, layerCount }
}
