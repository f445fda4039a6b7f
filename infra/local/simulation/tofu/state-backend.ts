import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { type LockRecord, tofuVersion } from './lock-record.ts'

/** The lock of one state. All implementations tell the same story; they differ in where it is written. */
export interface StateLocks {
  /**
   * Takes the lock: undefined when it is `record`'s now, else the record of whoever holds it. `written` is put down in
   * place of the record: what no tofu would write.
   */
  acquire(record: LockRecord, written?: string): Promise<LockRecord | undefined>
  /** Throws LockLost when `id` does not hold the lock: it was broken, or somebody else has it. */
  release(id: string): Promise<void>
  /** Undefined when nobody holds it. */
  holder(): Promise<LockRecord | undefined>
}

/** Where one state and its lock are. Writing asks for no lock, as in OpenTofu: the last writer wins. */
export interface StateBackend extends StateLocks {
  /** The `Path` in a lock record. */
  readonly path: string
  /** Whether init takes the lock to write an empty state where none exists yet. */
  readonly writesAtInit: boolean
  /** Undefined when there is no state yet. */
  read(): Promise<TofuState | undefined>
  write(state: TofuState): Promise<void>
}

export class LockLost extends Error {
  override readonly name = 'LockLost'
}

/** The part of a state file (version 4) that the simulation knows. */
export const tofuStateSchema = z.looseObject({
  version: z.literal(4),
  terraform_version: z.string(),
  serial: z.number().int(),
  lineage: z.string(),
  outputs: z.looseObject({ revision: z.looseObject({ value: z.string() }).optional() }),
  resources: z.array(z.looseObject({ instances: z.array(z.looseObject({ status: z.string().optional() })) })),
})

export type TofuState = z.infer<typeof tofuStateSchema>

/** The state before anything was applied. */
export function emptyState(): TofuState {
  const version = 4 as const
  return { version, terraform_version: tofuVersion, serial: 0, lineage: randomUUID(), outputs: {}, resources: [] }
}

/** What a state is after an apply of `revision`. `tainted`: the apply was interrupted, so the resource counts as broken. */
export function appliedState(before: TofuState, revision: string | undefined, tainted = false): TofuState {
  const instance = { attributes: { triggers_replace: revision ?? '' }, ...(tainted && { status: 'tainted' }) }
  return {
    ...before,
    serial: before.serial + 1,
    outputs: revision === undefined ? {} : { revision: { value: revision, type: 'string' } },
    resources: [{ mode: 'managed', type: 'terraform_data', name: 'main', instances: [instance] }],
  }
}

/** What a state is after a destroy. */
export function destroyedState(before: TofuState): TofuState {
  return { ...before, serial: before.serial + 1, outputs: {}, resources: [] }
}

/** The revision that was applied last; undefined when nothing was. */
export function appliedRevision(state: TofuState | undefined): string | undefined {
  return state?.outputs.revision?.value
}

export function isTainted(state: TofuState | undefined): boolean {
  return state?.resources.some(({ instances }) => instances.some(({ status }) => status === 'tainted')) ?? false
}
