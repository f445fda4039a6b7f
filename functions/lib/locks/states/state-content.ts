import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { StateEvidence } from '../evidence.ts'

/** What a state tells of itself; no word of what is in it. */
export type StateContent = Pick<Extract<StateEvidence, { exists: true }>, 'serial' | 'lineage' | 'md5' | 'sizeBytes'>

/** Bytes of a state that are looked into. What is larger is told by its size alone. */
export const stateSizeLimit = 16 * 1024 * 1024

const serialSchema = z.object({ serial: z.int().nonnegative() })
const lineageSchema = z.object({ lineage: z.string().min(1).max(100) })

/** Reads a state, encrypted or not. One that is no JSON has a size and an MD5. */
export function stateContentOf(bytes: Uint8Array): StateContent {
  const json = jsonOf(bytes)
  return {
    ...serialSchema.safeParse(json).data,
    ...lineageSchema.safeParse(json).data,
    md5: createHash('md5').update(bytes).digest('hex'),
    sizeBytes: bytes.length,
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch {
    return undefined
  }
}
