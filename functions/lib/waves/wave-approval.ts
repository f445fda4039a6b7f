import type { Push } from '../push.ts'

/** One for each wave of a push that people are asked about. */
export function waveApprovalId({ delivery }: Pick<Push, 'delivery'>, wave: number): string {
  return `${delivery} wave ${wave}`
}
