import { createHash } from 'node:crypto'
import { GetObjectCommand, NoSuchKey, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import type { Activity } from '../../virtual-clock.ts'
import { type LockRecord, nameless, parseLockRecord, renderLockRecord } from './lock-record.ts'
import { LockLost, type StateBackend, type TofuState, tofuStateSchema } from './state-backend.ts'

/** One of the places where the lock of an S3 state is. */
export interface LockPart {
  /** False where somebody holds it. */
  take(info: string): Promise<boolean>
  /** Its record as it is written; undefined where nobody holds it. */
  read(): Promise<string | undefined>
  /** Whoever holds it. */
  remove(): Promise<void>
  /** The state has been written. */
  stateWritten?(md5: string): Promise<void>
}

export interface S3StateOptions {
  readonly client: S3Client
  readonly activity: Activity
  readonly bucket: string
  /** Of the workspace's state. */
  readonly key: string
  /** In the order in which they are taken: the lock file, then the item. None: nothing is locked. */
  readonly parts: readonly LockPart[]
  /** Called before all else: makes what the state is kept in. */
  readonly prepare: () => Promise<void>
}

/** OpenTofu's backend `s3`: the state is an object; its lock is an object beside it, an item of a table, or both. */
export class S3State implements StateBackend {
  readonly path: string
  readonly writesAtInit = false
  private readonly options: S3StateOptions

  constructor(options: S3StateOptions) {
    this.options = options
    this.path = `${options.bucket}/${options.key}`
  }

  acquire(record: LockRecord, written = renderLockRecord(record)): Promise<LockRecord | undefined> {
    return this.outside(async () => {
      const taken: LockPart[] = []
      for (const part of this.options.parts) {
        if (await part.take(written)) {
          taken.unshift(part)
          continue
        }
        const held = await part.read()
        for (const mine of taken) await mine.remove()
        return parseLockRecord(held) ?? nameless()
      }
      return undefined
    })
  }

  release(id: string): Promise<void> {
    return this.outside(async () => {
      for (const part of this.options.parts.toReversed()) {
        const held = parseLockRecord(await part.read())
        if (held?.ID !== id) throw new LockLost(`lock id "${id}" does not match existing lock "${held?.ID ?? ''}"`)
        await part.remove()
      }
    })
  }

  holder(): Promise<LockRecord | undefined> {
    return this.outside(async () => {
      for (const part of this.options.parts) {
        const held = await part.read()
        if (held !== undefined) return parseLockRecord(held) ?? nameless()
      }
      return undefined
    })
  }

  read(): Promise<TofuState | undefined> {
    return this.outside(async () => {
      const { client, bucket, key } = this.options
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
        return tofuStateSchema.parse(JSON.parse((await Body?.transformToString()) ?? ''))
      } catch (error) {
        if (error instanceof NoSuchKey) return undefined
        throw error
      }
    })
  }

  write(state: TofuState): Promise<void> {
    return this.outside(async () => {
      const { client, bucket, key, parts } = this.options
      const body = JSON.stringify(state)
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
      const md5 = createHash('md5').update(body).digest('hex')
      for (const part of parts) await part.stateWritten?.(md5)
    })
  }

  /** Real requests take real time: a clock that jumps stands still meanwhile. */
  private async outside<T>(work: () => Promise<T>): Promise<T> {
    const end = this.options.activity.begin()
    try {
      await this.options.prepare()
      return await work()
    } finally {
      end()
    }
  }
}
