import * as z from 'zod'

export const plannedActions = ['replace', 'delete', 'create', 'update', 'forget', 'import', 'move', 'read'] as const
export type PlannedAction = (typeof plannedActions)[number]

/** What a plan does to one resource, or to one output. */
export const plannedChangeSchema = z.object({
  /** `module.network.aws_vpc.main`, `output.password` */
  address: z.string(),
  action: z.enum(plannedActions),
  /** `engine_version: "14" → "15"`; a secret is `(sensitive)`. */
  lines: z.array(z.string()),
})
export type PlannedChange = z.infer<typeof plannedChangeSchema>

/** A plan as people see it: without secrets, and never longer than a page can hold. */
export const shownPlanSchema = z.object({
  /** Undefined where the plan does not say. A replaced resource counts as added and as destroyed. */
  counts: z.object({ add: z.number(), change: z.number(), destroy: z.number() }).optional(),
  /** It was made with `spec.destroy`: everything goes. */
  destroysAll: z.boolean(),
  /** What is replaced or deleted comes first. */
  changes: z.array(plannedChangeSchema),
  /** As OpenTofu prints it for people, where it is stored so. */
  text: z.string().optional(),
  /** There is more than is shown. */
  cut: z.boolean(),
  /** Why there is nothing to read, and what to do about it. */
  missing: z.string().optional(),
})
export type ShownPlan = z.infer<typeof shownPlanSchema>

/** Characters of the changes or the text together. An item of the ledger holds 400 KB. */
export const longestShown = 32_000

/** Whether something that is there goes: such a plan is marked. */
export const isDestructive = ({ action }: Pick<PlannedChange, 'action'>) => action === 'delete' || action === 'replace'

/** What cannot be undone comes first, so that it is never what is cut off. */
export function inOrder(changes: readonly PlannedChange[]): PlannedChange[] {
  const rank = ({ action }: PlannedChange) => plannedActions.indexOf(action)
  return [...changes].sort((a, b) => rank(a) - rank(b))
}

/** Of one change. */
export const mostLines = 40

/** As many as fit: at first without their lines, so that none that destroys is left out for the lines of another. */
export function bounded(changes: readonly PlannedChange[]): Pick<ShownPlan, 'changes' | 'cut'> {
  let left = longestShown
  let cut = false
  const named: PlannedChange[] = []
  for (const { address, action } of changes) {
    left -= address.length + 10
    if (left < 0) break
    named.push({ address, action, lines: [] })
  }
  if (named.length < changes.length) cut = true
  const shown = named.map((change, index) => {
    const lines = (changes[index]?.lines ?? []).slice(0, mostLines)
    const size = lines.reduce((sum, line) => sum + line.length, 0)
    if (size > left || lines.length < (changes[index]?.lines.length ?? 0)) cut = true
    if (size > left) return change
    left -= size
    return { ...change, lines }
  })
  return { changes: shown, cut }
}

/** Where nothing can be read. */
export function unreadable(missing: string, destroysAll: boolean): ShownPlan {
  return { destroysAll, changes: [], cut: false, missing }
}
