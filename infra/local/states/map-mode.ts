import * as z from 'zod'

const modeSchema = z.object({ ItemProcessor: z.object({ ProcessorConfig: z.object({ Mode: z.string() }) }) })

/** Whether a state, as it was read, says that it is a distributed Map. */
export function runsDistributed(state: unknown): boolean {
  return modeSchema.safeParse(state).data?.ItemProcessor.ProcessorConfig.Mode === 'DISTRIBUTED'
}
