import { readFile } from 'node:fs/promises'
import { parseAllDocuments } from 'yaml'
import * as z from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type Api, keyOf } from './api.ts'
import { kinds } from './kinds.ts'

const crdSchema = z.looseObject({
  apiVersion: z.literal(kinds.CustomResourceDefinition.apiVersion),
  kind: z.literal(kinds.CustomResourceDefinition.kind),
  metadata: z.looseObject({ name: z.string() }),
})

const statusSchema = z
  .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })) })
  .catch({ conditions: [] })

/** Applies the CRDs in YAML files, and waits until the server serves them. Throws CrdUnreadable and NotSeen. */
export async function applyCrds(api: Api, files: readonly string[]): Promise<void> {
  const crds = (await Promise.all(files.map(readCrds))).flat()
  await Promise.all(
    crds.map(async (crd) => {
      await api.apply(crd)
      await api.until(keyOf(crd), 'Established', ({ status }) =>
        statusSchema.parse(status).conditions.some((each) => each.type === 'Established' && each.status === 'True'),
      )
    }),
  )
}

async function readCrds(file: string) {
  try {
    const documents = parseAllDocuments(await readFile(file, 'utf8'))
    return documents.map((document) => crdSchema.parse(document.toJS()))
  } catch (cause) {
    const why = cause instanceof z.ZodError ? 'holds something else than CRDs' : 'cannot be read'
    throw new LockstepError('CrdUnreadable', `${file} ${why}.`, 'Build the controllers again.', { cause })
  }
}
