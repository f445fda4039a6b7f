import { inOrder, longestShown, type PlannedAction, type PlannedChange, type ShownPlan } from './shown-plan.ts'

/**
 * Shows a plan as OpenTofu prints it (`tofu show`, without colours). It has masked what it calls sensitive. What is
 * replaced or deleted is found by the line that OpenTofu writes above each resource
 * (internal/command/jsonformat/plan.go of OpenTofu).
 */
export function showHumanPlan(text: string, destroysAll: boolean): ShownPlan {
  const plain = text.replace(colours, '')
  const changes = inOrder([...plain.matchAll(heading)].map(changeOf)).slice(0, mostChanges)
  const summary = /^Plan:(?: \d+ to import,)? (\d+) to add, (\d+) to change, (\d+) to destroy/m.exec(plain)
  const [add = 0, change = 0, destroy = 0] = (summary ?? []).slice(1).map(Number)
  return {
    ...(summary && { counts: { add, change, destroy } }),
    ...{ destroysAll, changes, text: plain.slice(0, longestShown), cut: plain.length > longestShown },
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with.
const colours = /\u001b\[[\d;]*m/g

/** `  # aws_vpc.main must be replaced` */
const heading =
  /^ *# (\S+)(?: \(deposed object \w+\))? (?:will be |must be |is tainted, so (?:must be |will be )?|has changed)(created|updated in-place|destroyed|replaced|read during apply)/gm

const actions: Readonly<Record<string, PlannedAction>> = {
  created: 'create',
  'updated in-place': 'update',
  destroyed: 'delete',
  replaced: 'replace',
  'read during apply': 'read',
}

const mostChanges = 200

function changeOf([, address = '', how = '']: RegExpMatchArray): PlannedChange {
  return { address, action: actions[how] ?? 'update', lines: [] }
}
