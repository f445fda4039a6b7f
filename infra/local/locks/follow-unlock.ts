import { type Clock, sleep } from '../../../functions/lib/clock.ts'
import { formatDuration } from '../../../functions/lib/duration.ts'
import { printable } from '../display/terminal-text.ts'
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
function progressLines({ unlock, startedAt, steps, approval }: UnlockRunView): string[] {
  const at = (time: number) => `+${formatDuration(Math.max(0, time - startedAt))}`.padEnd(8)
  const lines = [
    `Unlock ${unlock}`,
    // A step that waits is come to again and again.
    ...steps.flatMap(({ name, at: time }, index) =>
      steps[index - 1]?.name === name ? [] : [`${at(time)}${inWords(name)}`],
    ),
  ]
  if (!approval) return lines.map(printable)
  const { decisions, people } = approval
  const said = decisions.map(({ by, decision, at: time }) => `${at(time)}  ${by}: ${decision}`)
  const [first] = people
  const how = first ? `: npm run locks -- approve ${approval.lock.slice(0, 8)} --as ${quoted(first.name)}` : ''
  return [...lines, ...said, `        waits for ${waitsFor(approval)} to approve${how}`].map(printable)
}

function endLine({ run, status, startedAt, error, cause, steps }: UnlockRunView): string {
  const of = run ? `${run.object ?? `lock ${run.lock}`} in ${run.cluster}` : 'the lock'
  const took = formatDuration((steps.at(-1)?.at ?? startedAt) - startedAt)
  const why = run?.why ?? cause ?? error ?? status
  if (run?.outcome === 'unlocked') return printable(`Unlocked: ${of}, after ${took}.`)
  if (run?.outcome === 'refused') return printable(`Refused: ${of} stays locked. ${why}`)
  return printable(`Failed: ${of}. ${why}`)
}

/** `Suspend appliers` for `SuspendAppliers`. */
function inWords(name: string): string {
  const words = name.replace(/(?<=.)([A-Z])/g, ' $1').toLowerCase()
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

function quoted(name: string): string {
  return /^[\w@.-]+$/.test(name) ? name : JSON.stringify(name)
}
