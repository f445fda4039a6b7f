import { each } from '../each.ts'
import { stateText } from '../locks/backends/lock-place.ts'
import type { ReadConfiguration } from '../locks/backends/object-backend.ts'
import type { OwnedPlace } from '../locks/evidence/gather.ts'
import { whyFailed } from '../locks/scan/lock-access.ts'
import { objectPlaces } from '../locks/scan/object-places.ts'
import type { StateReader } from '../locks/states/state-reader.ts'
import type { Found } from './finding.ts'

export interface StatesOptions {
  readonly cluster: string
  /** Where the cluster is. */
  readonly region: string
  readonly readConfiguration: ReadConfiguration
  /** See `LockAccess`. */
  readonly endpoints?: readonly string[] | undefined
  /** Of the states in buckets. */
  readonly buckets: StateReader
  /** Of the states in the cluster. */
  readonly secrets: StateReader
  /** In bytes. */
  readonly largestState: number
}

/** States read at a time: one of 16 MiB takes that much memory. */
const width = 4

/** What is wrong with the states of raw Terraform objects: no lock, too large, or not to be read. */
export async function stateFindings(objects: readonly unknown[], options: StatesOptions): Promise<Found[]> {
  const { places, findings } = await objectPlaces(objects, options)
  const found = findings.flatMap(({ kind, subject, why }) => backendFinding(kind, subject, why))
  await each([...places.values()], width, async (place) => {
    found.push(...(await sizeFinding(place, options)))
  })
  return found
}

function backendFinding(kind: string, object: string, why: string): Found[] {
  const next = 'Give it a backend with locks: s3 with use_lockfile, or kubernetes.'
  switch (kind) {
    case 'unlocked':
      return [{ kind, object, text: `Two runs of ${object} can overwrite each other's state: ${why}.`, next }]
    case 'unsupported':
      return [
        { kind: 'unlocked', object, text: `Whether the state of ${object} is locked cannot be told: ${why}.`, next },
      ]
    case 'unreadable':
      return [
        {
          ...{ kind, object, about: 'backend', text: `Where ${object} keeps its state cannot be told: ${why}.` },
          next: 'Correct its backendConfig and backendConfigsFrom, or grant what is refused.',
        },
      ]
    default:
      return []
  }
}

async function sizeFinding({ owner, state }: OwnedPlace, options: StatesOptions): Promise<Found[]> {
  const object = `Terraform/${owner.namespace}/${owner.name}`
  const reader = state.store === 'kubernetes' ? options.secrets : options.buckets
  try {
    const read = await reader.read(state)
    if (!read.exists || read.sizeBytes <= options.largestState) return []
    return [
      {
        ...{ kind: 'large-state', object },
        text: `The state of ${object} (${stateText(state)}) is larger than ${mebibytes(options.largestState)}: each of its runs reads and writes all of it.`,
        next: `It is ${mebibytes(read.sizeBytes)} now. Divide the module, or raise sweep.largestState in the fleet.`,
      },
    ]
  } catch (error) {
    const text = `The state of ${object} could not be read to tell its size.`
    return [{ kind: 'unreadable', object, about: 'state', text, next: whyFailed(error) }]
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round((bytes / 1024 / 1024) * 10) / 10} MiB`
}
