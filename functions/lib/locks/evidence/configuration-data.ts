import * as z from 'zod'
import { shaped } from './unexpected-shape.ts'

const dataSchema = z.object({ data: z.record(z.string(), z.string()).nullish() })

/** What a raw ConfigMap, or a raw Secret, holds as text. Throws UnexpectedShape, which repeats nothing of it. */
export function configurationData(kind: 'Secret' | 'ConfigMap', what: string, raw: unknown): Record<string, string> {
  const { data } = shaped(what, dataSchema, raw)
  const entries = Object.entries(data ?? {})
  if (kind === 'ConfigMap') return Object.fromEntries(entries)
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]))
}
