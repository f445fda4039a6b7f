import * as z from 'zod'

const causeSchema = z.object({ errorMessage: z.string() })

/** What a state machine tells as the Cause of an error: Lambda puts a JSON document with `errorMessage` there. */
export function causeText(cause: string): string {
  try {
    return causeSchema.parse(JSON.parse(cause)).errorMessage
  } catch {
    // Others are plain text.
    return cause
  }
}
