import { maskedText } from './masked-text.ts'
import { bounded, inOrder, longestShown, type PlannedAction, type PlannedChange, type ShownPlan } from './shown-plan.ts'

/**
 * Shows a plan as OpenTofu prints it (`tofu show`, without colours). It has masked what it calls sensitive, and what is
 * named like a secret is masked, too. What is replaced or deleted is found by the line that OpenTofu writes above each resource
 * (internal/command/jsonformat/plan.go of OpenTofu).
 */
export function showHumanPlan(text: string, destroysAll: boolean): ShownPlan {
  const plain = text.replace(colours, '')
  const { changes } = bounded(inOrder([...plain.matchAll(heading)].flatMap(([, line = '']) => changeOf(line))))
  const summary = /^Plan:(?: \d+ to import,)? (\d+) to add, (\d+) to change, (\d+) to destroy/m.exec(plain)
  const [add = 0, change = 0, destroy = 0] = (summary ?? []).slice(1).map(Number)
  const shown = maskedText(plain)
  return {
    ...(summary && { counts: { add, change, destroy } }),
    ...{ destroysAll, changes, text: shown.slice(0, longestShown), cut: shown.length > longestShown },
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with.
const colours = /\u001b\[[\d;]*m/g

/** `  # aws_vpc.main must be replaced`: two spaces, since what stands in a resource's values stands further in. */
const heading = /^ {2}# (.+)$/gm

/** The index of a resource may hold any text (`aws_vpc.main["a b"]`), so that a line counts up to its end. */
const change =
  /^(.+?)(?: is tainted, so it)? (?:will|must) be (created|updated in-place|destroyed|replaced|read during apply|imported|removed from the OpenTofu state but will not be destroyed)(?:, as requested| due to changes in replace_triggered_by)?( - older instance will not be destroyed .*)?$/
const move = /^(.+) has moved to (.+)$/

const actions: Readonly<Record<string, PlannedAction>> = {
  created: 'create',
  'updated in-place': 'update',
  destroyed: 'delete',
  replaced: 'replace',
  imported: 'import',
  'read during apply': 'read',
}

/** What is kept beside its replacement is forgotten, as what has no replacement. */
function changeOf(line: string): PlannedChange[] {
  const [, changed, how = '', keepsOlder] = change.exec(line) ?? []
  if (changed) return [{ address: changed, action: (keepsOlder === undefined && actions[how]) || 'forget', lines: [] }]
  const [, from = '', to] = move.exec(line) ?? []
  return to ? [{ address: to, action: 'move', lines: [`moved from: ${from}`] }] : []
}
