import * as z from 'zod'
import type { DrivenState } from '../../contracts/tofu-driver.ts'

const stateSchema = z.object({
  serial: z.number(),
  lineage: z.string(),
  resources: z.array(z.object({ instances: z.array(z.object({ status: z.string().optional() })) })),
})

/** A state as OpenTofu writes it. */
export function readState(text: string): DrivenState {
  const { serial, lineage, resources } = stateSchema.parse(JSON.parse(text))
  return { serial, lineage, tainted: resources.some(({ instances }) => instances.some(isTainted)) }
}

const isTainted = ({ status }: { status?: string | undefined }) => status === 'tainted'
