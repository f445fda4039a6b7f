import type { StateEvidence } from '../../locks/evidence.ts'
import { backupText, type StateBackup, type StateWrite, versionOf } from './state-backup.ts'

/** What is known of a state from before its lock was deleted until after the fresh run. */
export interface StateHistory {
  /** `s3://bucket/key`, for people. */
  readonly state: string
  readonly backup: StateBackup
  /**
   * The state as it was read while nobody could run, the oldest first: right after the delete, and right before the fresh
   * run was let go. Without versions nothing else tells of a write that the fresh run has gone on from.
   */
  readonly held: readonly StateEvidence[]
  /** What the keeper knows of the writes since the backup, asked after the fresh run. */
  readonly writes: readonly StateWrite[]
  readonly now: StateEvidence
  readonly freshRun: FreshRun
}

/** When the fresh run may have written. Times are in milliseconds since the epoch, by our clock. */
export interface FreshRun {
  /** When it was let go. */
  readonly from: number
  /** When it was seen to have ended. Undefined: not yet. */
  readonly until?: number
  /** Whether it has applied something, or may yet. A plan writes no state, but for an empty first one. */
  readonly applied: boolean
}

export type StateFindingRule =
  | 'written-by-others' // since the backup, and not by the fresh run
  | 'deleted'
  | 'another-lineage' // it is another state in the same place
  | 'serial-went-back'
  | 'two-of-one-serial' // two writers have started from the same state
  | 'not-readable' // so that nothing of the above can be told

/** Something about a state that a person must look at before anything is built upon it. Holds nothing of the state. */
export interface StateFinding {
  readonly rule: StateFindingRule
  readonly message: string
  /** What a person should do. */
  readonly next: string
  /** Versions that it is about, the oldest first, as the store names them. */
  readonly versions: readonly string[]
}

/** One of the states that were there one after the other. */
interface Known {
  readonly version: string
  readonly serial?: number | undefined
  readonly lineage?: string | undefined
  readonly md5?: string | undefined
}

type Written = Extract<StateEvidence, { exists: true }>

/**
 * What speaks against that the state has gone on as it should after its lock was deleted: it was written by the fresh run
 * alone, its lineage is the same, its serial never went back, and no two versions have one serial and different content.
 * Nothing, where all of that holds. A state that could not be looked into when it was backed up is judged by who has
 * written it alone.
 *
 * A holder that was not dead after all is found by what it writes: before the fresh run by the time or by what was read
 * then, beside a fresh run that has applied because both go on from the same serial, and afterwards by the time. Without
 * versions only the last write is known: what is written over is not found, nor what could be the fresh run's own.
 */
export function verifyState(history: StateHistory): StateFinding[] {
  const states = statesOf(history)
  return [
    ...writtenByOthers(history),
    ...deleted(history),
    ...anotherLineage(history, states),
    ...serialWentBack(history, states),
    ...twoOfOneSerial(history, states),
    ...notReadable(history, states),
  ]
}

/** The states that were there one after the other, as far as they are known. */
function statesOf(history: StateHistory): Known[] {
  const first = backedUp(history.backup)
  const written = writesOf(history).filter(({ deleted }) => !deleted)
  return first ? [first, ...written] : written
}

/** All writes, and what is there now if that is yet another one: it may be read after they were listed. */
function writesOf({ backup, writes, now }: StateHistory): readonly StateWrite[] {
  if (!isThere(now)) return writes
  const first = backedUp(backup)
  const known = [...(first ? [first] : []), ...writes]
  if (known.some(({ version }) => version === now.version) || isSame(now, known.at(-1))) return writes
  const { exists: _, modifiedAt, ...state } = now
  return [...writes, { ...state, ...(modifiedAt !== undefined && { at: modifiedAt }), deleted: false }]
}

function isThere(evidence: StateEvidence): evidence is Written {
  return evidence.exists
}

function backedUp(backup: StateBackup): Known | undefined {
  const version = versionOf(backup)
  return backup.kind === 'none' || version === undefined ? undefined : { ...backup, version }
}

/** A Secret has another version for every label that somebody sets on it. */
function isSame(one: Known, other: Known | undefined): boolean {
  if (!other) return false
  return one.version === other.version || (one.md5 !== undefined && one.md5 === other.md5)
}

function writtenByOthers(history: StateHistory): StateFinding[] {
  const { state, backup, held, freshRun } = history
  const first = backedUp(backup)
  const seen = held.filter(isThere).filter((each) => !isSame(each, first))
  const foreign = new Map(seen.map(({ version, modifiedAt }) => [version, `${when(modifiedAt)}${beforeRun}`]))
  for (const [index, { version, at, deleted }] of writesOf(history).entries()) {
    const isBirth = first === undefined && index === 0
    const why = deleted ? undefined : whyForeign(at, freshRun, isBirth)
    if (why !== undefined) foreign.set(version, `${when(at)}${why}`)
  }
  if (foreign.size === 0) return []
  const named = listed([...foreign].map(([version, why]) => `version ${version}${why}`))
  return [
    {
      rule: 'written-by-others',
      message: `${state} was written by somebody else than the fresh run: ${named}.`,
      next: `Find out who writes: whoever held the lock may still be at work. Compare with ${backupText(backup)}, keep what is right, and plan anew.`,
      versions: [...foreign.keys()],
    },
  ]
}

const beforeRun = ' before the fresh run was let go'

/**
 * Undefined where the fresh run may have written it: even one that only plans makes an empty state where there is none.
 * Stores tell times in whole seconds.
 */
function whyForeign(at: number | undefined, { from, until, applied }: FreshRun, isBirth: boolean): string | undefined {
  if (at !== undefined && at < Math.floor(from / 1000) * 1000) return beforeRun
  if (at !== undefined && until !== undefined && at > until) return ' after the fresh run had ended'
  return applied || isBirth ? undefined : ', while the fresh run has only planned'
}

function deleted(history: StateHistory): StateFinding[] {
  const { state, backup, held, now } = history
  const markers = history.writes.filter((write) => write.deleted)
  const wasThere = statesOf(history).length > 0
  const isGone = [...(backup.kind === 'none' ? [] : held), now].some((evidence) => !evidence.exists)
  if (markers.length === 0 && !(wasThere && isGone)) return []
  return [
    {
      rule: 'deleted',
      message: `${state} was deleted${markers.map(({ at }) => when(at)).at(-1) ?? ''}, after its lock was.`,
      next: `Find out who did it and whether it was meant; it can be had again from ${backupText(backup)}.`,
      versions: markers.map(({ version }) => version),
    },
  ]
}

function anotherLineage({ state, backup }: StateHistory, states: readonly Known[]): StateFinding[] {
  const first = states.find(({ lineage }) => lineage !== undefined)
  const others = states.filter(({ lineage }) => lineage !== undefined && lineage !== first?.lineage)
  if (!first || others.length === 0) return []
  return [
    {
      rule: 'another-lineage',
      message: `${state} has become another state: ${listed(others.map(versionText))} is not of the lineage of ${versionText(first)}.`,
      next: `Somebody began anew or pushed the state of something else. Bring back the right one from ${backupText(backup)}, and plan anew.`,
      versions: others.map(({ version }) => version),
    },
  ]
}

function serialWentBack({ state, backup }: StateHistory, states: readonly Known[]): StateFinding[] {
  const back: { readonly each: Known; readonly after: Known }[] = []
  let highest: Known | undefined
  for (const each of states) {
    if (each.serial === undefined) continue
    if (highest?.serial !== undefined && each.serial < highest.serial) back.push({ each, after: highest })
    else highest = each
  }
  if (back.length === 0) return []
  const named = listed(back.map(({ each, after }) => `${versionText(each)} came after ${versionText(after)}`))
  return [
    {
      rule: 'serial-went-back',
      message: `The serial of ${state} went back: ${named}.`,
      next: `Somebody wrote an old state over a newer one. Compare both with ${backupText(backup)}, bring back what is right, and plan anew.`,
      versions: back.map(({ each }) => each.version),
    },
  ]
}

function twoOfOneSerial({ state, backup }: StateHistory, states: readonly Known[]): StateFinding[] {
  const comparable = states.filter(({ serial, md5 }) => serial !== undefined && md5 !== undefined)
  const forks = [...Map.groupBy(comparable, ({ serial }) => serial).values()].filter(
    (rivals) => new Set(rivals.map(({ md5 }) => md5)).size > 1,
  )
  if (forks.length === 0) return []
  const named = listed(forks.map((rivals) => listed(rivals.map(versionText))))
  return [
    {
      rule: 'two-of-one-serial',
      message: `${state} has versions with one serial and different content: ${named}. Two have written at once, and what one of them knows is lost.`,
      next: `Compare these versions with each other and with ${backupText(backup)}: what one of them has made may be in no state. Bring back or import it, and plan anew.`,
      versions: forks.flatMap((rivals) => rivals.map(({ version }) => version)),
    },
  ]
}

function notReadable({ state, backup }: StateHistory, states: readonly Known[]): StateFinding[] {
  const isReadable = ({ serial, lineage, md5 }: Known) =>
    serial !== undefined && lineage !== undefined && md5 !== undefined
  const first = backedUp(backup)
  if (first && !isReadable(first)) return []
  const unread = states.filter((each) => !isReadable(each))
  if (unread.length === 0) return []
  return [
    {
      rule: 'not-readable',
      message: `${state} cannot be compared with what it was: ${listed(unread.map(versionText))} is no state, is too large, or is gone already.`,
      next: `Look at it by hand; what it was is ${backupText(backup)}.`,
      versions: unread.map(({ version }) => version),
    },
  ]
}

function versionText({ version, serial }: Known): string {
  return serial === undefined ? `version ${version}` : `version ${version} (serial ${serial})`
}

function when(at: number | undefined): string {
  return at === undefined ? '' : ` at ${new Date(at).toISOString()}`
}

function listed(texts: readonly string[]): string {
  const shown = texts.slice(0, 3).join(', ')
  return texts.length > 3 ? `${shown} and ${texts.length - 3} more` : shown
}
