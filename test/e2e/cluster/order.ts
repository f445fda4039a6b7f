import * as z from 'zod'
import { demoTerraforms } from './demo.ts'

/** What a running cluster can be asked for. */
export const orderSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('status') }),
  z.strictObject({
    name: z.literal('push'),
    /** How long each apply of OpenTofu takes. */
    seconds: z.int().min(0),
    /** Name of a Terraform object whose apply fails. */
    fail: z.enum(demoTerraforms).optional(),
  }),
  z.strictObject({ name: z.enum(['stop', 'start']), process: z.string() }),
  z.strictObject({ name: z.literal('fault'), fault: z.string(), target: z.array(z.string()) }),
])

export type Order = z.output<typeof orderSchema>
