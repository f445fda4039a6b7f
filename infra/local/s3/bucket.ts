import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../../functions/lib/clock.ts'
import type { Checksum } from './checksum.ts'

/** What a client stores under a key. */
export interface ObjectContent {
  readonly body: Buffer
  /** Headers that are given back as they came: content-type, x-amz-meta-*, … Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly checksum?: Checksum
}

export interface ObjectVersion extends ObjectContent {
  readonly kind: 'object'
  /** `null` (the word) for what was written without versioning. */
  readonly versionId: string
  /** Milliseconds since the Unix epoch. */
  readonly lastModified: number
  /** MD5 of the body in hex, in double quotes. */
  readonly etag: string
}

export interface DeleteMarker {
  readonly kind: 'marker'
  readonly versionId: string
  readonly lastModified: number
}

export type Version = ObjectVersion | DeleteMarker

export interface Deleted {
  /** The version that was removed, or the delete marker that was put on top. */
  readonly versionId: string
  /** A marker was put on top, or one was removed. */
  readonly marker: boolean
}

/** Where the versions of a bucket outlive the process. Writes are synchronous: what a call returned from is kept. */
export interface KeptVersions {
  load(): Iterable<readonly [key: string, versions: readonly Version[]]>
  /** Newest first; none: the key is not kept any more. */
  save(key: string, versions: readonly Version[]): void
}

const withoutVersioning = 'null'

/** The objects of one bucket, with all their versions. Every method is one step that nothing can come between. */
export class Bucket {
  readonly name: string
  readonly region: string
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number
  /** Undefined until it is set for the first time; from then on it can be suspended, never taken back. */
  versioning?: 'Enabled' | 'Suspended'
  /** Newest first. A key without versions is not kept. */
  private readonly versions: Map<string, readonly Version[]>
  private readonly clock: Clock
  private readonly kept: KeptVersions | undefined

  constructor(options: { name: string; region: string; clock: Clock; kept?: KeptVersions }) {
    this.name = options.name
    this.region = options.region
    this.clock = options.clock
    this.createdAt = options.clock.now()
    this.kept = options.kept
    this.versions = new Map(options.kept?.load())
  }

  /** The keys with their versions, newest first; keys in S3's order: by their UTF-8 bytes. */
  entries(): [key: string, versions: readonly Version[]][] {
    const named = [...this.versions].map(([key, versions]) => ({ key, versions, bytes: Buffer.from(key) }))
    named.sort((one, other) => Buffer.compare(one.bytes, other.bytes))
    return named.map(({ key, versions }) => [key, versions])
  }

  /** The newest version, be it a delete marker. */
  newest(key: string): Version | undefined {
    return this.versions.get(key)?.[0]
  }

  find(key: string, versionId: string): Version | undefined {
    return this.versions.get(key)?.find((version) => version.versionId === versionId)
  }

  put(key: string, content: ObjectContent): ObjectVersion {
    const etag = `"${createHash('md5').update(content.body).digest('hex')}"`
    const version = { ...content, kind: 'object', etag, ...this.stamp() } as const
    this.add(key, version)
    return version
  }

  /** Removes the object, or hides it under a delete marker where versions are kept. Undefined: there are no versions. */
  delete(key: string): Deleted | undefined {
    if (!this.versioning) {
      this.remove(key, withoutVersioning)
      return undefined
    }
    const marker = { kind: 'marker', ...this.stamp() } as const
    this.add(key, marker)
    return { versionId: marker.versionId, marker: true }
  }

  /** Removes one version for good. One that is not there counts as removed. */
  deleteVersion(key: string, versionId: string): Deleted {
    const marker = this.find(key, versionId)?.kind === 'marker'
    this.remove(key, versionId)
    return { versionId, marker }
  }

  private stamp() {
    const versionId = this.versioning === 'Enabled' ? randomBytes(24).toString('base64url') : withoutVersioning
    return { versionId, lastModified: this.clock.now() }
  }

  private add(key: string, version: Version): void {
    this.set(key, [version, ...this.without(key, version.versionId)])
  }

  private remove(key: string, versionId: string): void {
    this.set(key, this.without(key, versionId))
  }

  private without(key: string, versionId: string): readonly Version[] {
    return this.versions.get(key)?.filter((version) => version.versionId !== versionId) ?? []
  }

  private set(key: string, versions: readonly Version[]): void {
    this.kept?.save(key, versions)
    if (versions.length > 0) this.versions.set(key, versions)
    else this.versions.delete(key)
  }
}
