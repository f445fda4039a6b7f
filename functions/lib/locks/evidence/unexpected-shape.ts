import * as z from 'zod'
import { LockstepError } from '../../errors.ts'
import { millisecondsOf } from '../stores/lock-info.ts'
import { oneLine } from './one-line.ts'

/** An answer of an API server that is not shaped as the kind is. Names fields, and never repeats what they hold. */
export class UnexpectedShape extends LockstepError {
  constructor(what: string, { issues }: z.ZodError) {
    const fields = new Set(issues.map(({ path }) => path.join('.') || 'all of it'))
    const message = oneLine(`${what} is not shaped as it should be (${[...fields].join(', ')}).`)
    super('UnexpectedShape', message, 'Check that the cluster serves the versions that Lockstep supports.')
  }
}

/** Parses what an API server answered; `what` names it, such as `Pod/flux-system/vpc-tf-runner`. Throws UnexpectedShape. */
export function shaped<Schema extends z.ZodType>(what: string, schema: Schema, raw: unknown): z.output<Schema> {
  const parsed = schema.safeParse(raw)
  if (!parsed.success) throw new UnexpectedShape(what, parsed.error)
  return parsed.data
}

/** A time as Kubernetes writes it, in milliseconds since the epoch. */
export const kubernetesTime = z.string().transform((text, { addIssue }) => {
  const at = millisecondsOf(text)
  if (at !== undefined) return at
  addIssue('is no time')
  return z.NEVER
})
