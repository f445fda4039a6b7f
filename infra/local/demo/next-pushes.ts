import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { Clock } from '../../../functions/lib/clock.ts'

const payloadSchema = z.looseObject({
  after: z.string(),
  repository: z.looseObject({ pushed_at: z.number() }),
  head_commit: z.looseObject({ id: z.string() }).nullish(),
})

/** Pushes that follow one another on a branch, each like the first one. */
export class NextPushes {
  private readonly clock: Clock
  private last: z.infer<typeof payloadSchema>

  /** `body`: the payload of the first one. Throws where it is none of GitHub's. */
  constructor(body: string, clock: Clock) {
    this.clock = clock
    this.last = payloadSchema.parse(JSON.parse(body))
  }

  next(): { readonly body: string } {
    const { after: before, repository, head_commit } = this.last
    const after = createHash('sha1').update(before).digest('hex')
    this.last = {
      ...this.last,
      ...{ before, after, repository: { ...repository, pushed_at: Math.floor(this.clock.now() / 1_000) } },
      ...(head_commit && { head_commit: { ...head_commit, id: after } }),
    }
    return { body: JSON.stringify(this.last) }
  }
}
