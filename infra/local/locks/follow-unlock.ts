import { type Clock, sleep } from '../../../functions/lib/clock.ts'
import { formatDuration } from '../../../functions/lib/duration.ts'
import { printable } from '../display/terminal-text.ts'
import type { ApprovalLine } from '../views/approval-view.ts'
import type { UnlockRunView } from '../views/unlock-run-view.ts'
import { waitsFor } from './approval-text.ts'
import type { LocksClient } from './locks-client.ts'

/** How often is looked, in milliseconds. */
const everyMs = 500

export interface FollowOptions {
  readonly clock: Clock
  /** Takes a line, safe to print, as soon as there is one. */
  readonly say: (line: string) => void
}

/** Tells each step of an unlock until it has ended, and answers how. Throws as `LocksClient.list`. */
export async function followUnlock(
  unlock: string,
  client: Pick<LocksClient, 'follow'>,
  { clock, say }: FollowOptions,
): Promise<UnlockRunView> {
  const told = new Set<string>()
  for (;;) {
    const { unlock: view } = await client.follow(unlock)
    for (const line of progressLines(view)) {
      if (!told.has(line)) say(line)
      told.add(line)
    }
    if (view.status !== 'RUNNING') {
      say(endLine(view))
      return view
    }
    await sleep(clock, everyMs)
  }
}

/** What has been done so far, and what is waited for. */
function progressLines({ unlock, status, startedAt, steps, approval }: UnlockRunView): string[] {
  const at = (time: number) => `+${formatDuration(Math.max(0, time - startedAt))}`.padEnd(indent)
  // A step that waits is come to again and again.
  const done = steps.filter(({ name }, index) => steps[index - 1]?.name !== name)
  const lines = [
    { at: startedAt, line: `Unlock ${unlock}` },
    ...done.map(({ name, at: time }) => ({ at: time, line: `${at(time)}${inWords(name)}` })),
    ...(approval?.decisions ?? []).map(({ by, decision, at: time }) => ({
      at: time,
      line: `${at(time)}${by}: ${decision}`,
    })),
  ]
  const inOrder = lines.sort((a, b) => a.at - b.at).map(({ line }) => line)
  const waits = approval?.outcome === 'open' && status === 'RUNNING' ? [waitingLine(approval)] : []
  return [...inOrder, ...waits].map(printable)
}

/** Of the times before each line, in characters. */
const indent = 8

function waitingLine(approval: ApprovalLine): string {
  const [first] = approval.people
  const lock = approval.kind === 'unlock' ? approval.lock : approval.id
  const how = first ? `: npm run locks -- approve ${lock.slice(0, 8)} --as ${quoted(first.name)}` : ''
  return `${' '.repeat(indent)}waits for ${waitsFor(approval)} to approve${how}`
}

function endLine({ run, status, startedAt, error, cause, steps }: UnlockRunView): string {
  const of = run ? `${run.object ?? `lock ${run.lock}`} in ${run.cluster}` : 'the lock'
  const took = formatDuration((steps.at(-1)?.at ?? startedAt) - startedAt)
  const why = run?.why ?? cause ?? error ?? status
  if (run?.outcome === 'unlocked') return printable(`Unlocked: ${of}, after ${took}.`)
  if (run?.outcome === 'refused') return printable(`Refused: ${of} stays locked: ${why}`)
  return printable(`Failed: ${of}: ${why}`)
}

/** `Suspend appliers` for `SuspendAppliers`. */
function inWords(name: string): string {
  const words = name.replace(/(?<=.)([A-Z])/g, ' $1').toLowerCase()
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

function quoted(name: string): string {
  return /^[\w@.-]+$/.test(name) ? name : JSON.stringify(name)
}
