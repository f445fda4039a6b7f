import type { LockRecord } from './lock-record.ts'
import { LockLost, type StateBackend, type TofuState } from './state-backend.ts'

/** A state that nothing but the simulation can see, with or without a lock. */
export class MemoryState implements StateBackend {
  readonly path: string
  readonly writesAtInit = false
  private readonly locking: boolean
  private state: TofuState | undefined
  private held: LockRecord | undefined

  constructor(path: string, { locking }: { locking: boolean }) {
    this.path = path
    this.locking = locking
  }

  async acquire(record: LockRecord): Promise<LockRecord | undefined> {
    if (!this.locking) return undefined
    if (this.held) return this.held
    this.held = record
    return undefined
  }

  async release(id: string): Promise<void> {
    if (this.locking && this.held?.ID !== id) throw new LockLost(`lock id "${id}" does not match existing lock`)
    this.held = undefined
  }

  async holder(): Promise<LockRecord | undefined> {
    return this.held
  }

  async read(): Promise<TofuState | undefined> {
    return this.state
  }

  async write(state: TofuState): Promise<void> {
    this.state = state
  }
}
