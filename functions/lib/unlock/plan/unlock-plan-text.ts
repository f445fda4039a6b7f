import { formatDuration } from '../../duration.ts'
import type { Refused } from './refusal.ts'
import type { UnlockPlan } from './unlock-plan.ts'
import type { FieldValue, UnlockStep } from './unlock-step.ts'

/** The plan as text, a line an entry. */
export function planLines(plan: UnlockPlan | Refused): string[] {
  if (plan.outcome === 'refused') {
    return [`Refused (rule ${plan.rule}):`, ...plan.reasons.map((reason) => `  - ${reason}`), `Next: ${plan.next}`]
  }
  const { object, cluster, lock, rung, why, gentler, approvals, estimate, steps, notes } = plan
  const { needed } = approvals
  const asked = needed === 0 ? 'none' : `${needed} ${needed === 1 ? 'person' : 'people'} beside whoever asks`
  return [
    `To unlock ${object} in ${cluster}, lock ${lock}:`,
    '',
    `Rung       ${rung}: ${why}`,
    ...gentler.map((each) => `           not ${each.rung}: ${each.why}`),
    `Approvals  ${asked}: ${approvals.why}`,
    `Time       at least ${formatDuration(estimate.atLeastMs)}, given up after ${formatDuration(estimate.atMostMs)} of waiting`,
    '',
    ...steps.flatMap((step, at) => stepLines(step, `${at + 1}.`.padStart(3))),
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => `Note: ${note}`)]),
  ]
}

function stepLines(step: UnlockStep, number: string): string[] {
  switch (step.kind) {
    case 'check':
      return [`${number} ${step.what}`]
    case 'wait': {
      const { atLeastMs, atMostMs } = step
      const least = atLeastMs > 0 ? `${formatDuration(atLeastMs)} at least, ` : ''
      return [`${number} Wait for ${step.for} (${least}${formatDuration(atMostMs)} at most).`]
    }
    case 'change':
      return [`${number} ${step.object}: ${step.field} ${valueText(step.from)} -> ${valueText(step.to)} (${step.why})`]
  }
}

function valueText(value: FieldValue): string {
  if (value === null) return 'none'
  return value === '' ? '""' : String(value)
}
