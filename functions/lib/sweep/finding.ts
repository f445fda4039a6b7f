import { createHash } from 'node:crypto'
import * as z from 'zod'

/**
 * - `lost-push`: a source serves a commit that no webhook told of. A rollout is started.
 * - `unordered`: a source serves a commit whose rollout has ended badly before it came to this cluster, or that people did not
 *   agree to roll out.
 * - `drift`: what runs was found not to be what Git says.
 * - `detection-off`: nobody looks for drift of the object, because somebody has said so.
 * - `by-hand`: fields of the object's spec were set by somebody who is neither Flux nor Lockstep.
 * - `unlocked`: the object's state has no lock, or none that Lockstep can see.
 * - `large-state`: the object's state is larger than the fleet allows.
 * - `stuck`: the object has not been Ready for longer than its layer may take.
 * - `stalled`: its controller has given up until something changes.
 * - `gate-left`: it is still suspended by a rollout that is over.
 * - `unreadable`: the object, or what is known of its state, could not be read.
 */
export const sweepFindingKinds = [
  'lost-push',
  'unordered',
  'drift',
  'detection-off',
  'by-hand',
  'unlocked',
  'large-state',
  'stuck',
  'stalled',
  'gate-left',
  'unreadable',
] as const
export type SweepFindingKind = (typeof sweepFindingKinds)[number]

/** Something about a cluster that no event told of, and that a person should know. */
export const sweepFindingSchema = z.object({
  /** The same for as long as the finding is there: 24 hexadecimal digits. */
  id: z.string(),
  cluster: z.string(),
  kind: z.enum(sweepFindingKinds),
  /** `Terraform/flux-system/vpc`, `GitRepository/flux-system/fleet-infra` */
  object: z.string().optional(),
  /** Milliseconds since the epoch; when a sweep first saw it, where nothing tells since when it is so. */
  since: z.number(),
  /** What is so. It stays the same word for word until something changes. */
  text: z.string(),
  /** What a person can do now. */
  next: z.string(),
})
export type SweepFinding = z.infer<typeof sweepFindingSchema>

/** A finding as it is found, before what earlier sweeps knew is added. */
export interface Found {
  readonly kind: SweepFindingKind
  readonly object?: string
  /** Tells findings of one kind about one object apart. Not for people. */
  readonly about?: string
  readonly since?: number
  readonly text: string
  readonly next: string
}

/** The id of a finding in a cluster. */
export function findingId(cluster: string, { kind, object = '', about = '' }: Found): string {
  return createHash('sha256')
    .update(JSON.stringify([cluster, kind, object, about]))
    .digest('hex')
    .slice(0, 24)
}

/** Beyond it a text is of no use to a person. */
const longest = 400

/** Names and reasons come from the cluster: nothing in them can play tricks on a terminal, or fill the ledger. */
export function plainText(text: string): string {
  const printable = text.replace(/\p{C}/gu, '?').toWellFormed()
  return printable.length > longest ? `${printable.slice(0, longest - 1)}…` : printable
}
