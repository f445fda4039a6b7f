import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import type { KeptVersions, Version } from './bucket.ts'

const keptSchema = z.object({
  key: z.string(),
  versions: z.array(
    z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('object'),
        versionId: z.string(),
        lastModified: z.number(),
        etag: z.string(),
        body: z.base64().transform((text) => Buffer.from(text, 'base64')),
        headers: z.record(z.string(), z.string()),
        checksum: z.object({ algorithm: z.string(), value: z.string() }).optional(),
      }),
      z.object({ kind: z.literal('marker'), versionId: z.string(), lastModified: z.number() }),
    ]),
  ),
})

/** The versions of a bucket in a directory of its own: one file for each key, named after its digest. */
export class DirectoryVersions implements KeptVersions {
  private readonly directory: string

  constructor(directory: string) {
    this.directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /** Throws where a file is not one of ours. */
  *load(): Iterable<readonly [key: string, versions: readonly Version[]]> {
    for (const file of readdirSync(this.directory)) {
      if (!file.endsWith('.json')) continue
      const { key, versions } = keptSchema.parse(JSON.parse(readFileSync(join(this.directory, file), 'utf8')))
      yield [key, versions as readonly Version[]]
    }
  }

  save(key: string, versions: readonly Version[]): void {
    const file = join(this.directory, `${createHash('sha256').update(key).digest('hex')}.json`)
    if (versions.length === 0) {
      rmSync(file, { force: true })
      return
    }
    const kept = versions.map((one) => (one.kind === 'object' ? { ...one, body: one.body.toString('base64') } : one))
    // Whoever is killed in the middle leaves the old file.
    writeFileSync(`${file}.new`, JSON.stringify({ key, versions: kept }), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}
