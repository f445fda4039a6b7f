import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type ExecutionRecord, type ExecutionStore, executionRecord } from './execution-store.ts'

const keyBytes = 32
const fileName = /^(\d{9})\.ndjson$/

/**
 * Keeps executions in a directory: one file each, one record a line, only ever added to. The files are numbered in
 * the order of their start. For one process at a time. Survives the death of the process, also in the middle of a
 * line; a power cut may lose the newest lines.
 *
 * Throws ExecutionStoreUnreadable when a line other than a torn last one is not a record.
 */
export class DirectoryExecutionStore implements ExecutionStore {
  readonly tokenKey: Buffer
  private readonly directory: string
  private readonly files = new Map<string, string>()
  private next = 1

  constructor(directory: string) {
    this.directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.tokenKey = readOrMakeKey(join(directory, 'token-key'))
    for (const file of readdirSync(directory))
      this.next = Math.max(this.next, Number(fileName.exec(file)?.[1] ?? 0) + 1)
  }

  load(): ExecutionRecord[][] {
    const executions: ExecutionRecord[][] = []
    for (const file of readdirSync(this.directory).sort()) {
      if (!fileName.test(file)) continue
      const path = join(this.directory, file)
      const records = readRecords(path)
      const first = records[0]
      // A file without its first line was torn before anybody was told of the execution.
      if (first?.type !== 'started') {
        rmSync(path)
        continue
      }
      this.files.set(first.executionArn, path)
      executions.push(records)
    }
    return executions
  }

  append(executionArn: string, record: ExecutionRecord): void {
    let path = this.files.get(executionArn)
    if (!path) {
      path = join(this.directory, `${String(this.next++).padStart(9, '0')}.ndjson`)
      this.files.set(executionArn, path)
    }
    appendFileSync(path, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  }

  forget(executionArn: string): void {
    const path = this.files.get(executionArn)
    if (!path) return
    this.files.delete(executionArn)
    rmSync(path, { force: true })
  }
}

/** A key that was torn while it was written would be easy to guess: it is made again. */
function readOrMakeKey(path: string): Buffer {
  const kept = existsSync(path) ? readFileSync(path) : undefined
  if (kept?.length === keyBytes) return kept
  const key = randomBytes(keyBytes)
  writeFileSync(path, key, { mode: 0o600 })
  return key
}

/** The whole lines. What was torn off is cut from the file, so that the next record begins on a line of its own. */
function readRecords(path: string): ExecutionRecord[] {
  const bytes = readFileSync(path)
  const end = bytes.lastIndexOf(0x0a) + 1
  if (end < bytes.length) truncateSync(path, end)
  const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1)
  return lines.map((line, index) => readRecord(line, `${path}:${index + 1}`))
}

function readRecord(line: string, at: string): ExecutionRecord {
  try {
    return executionRecord.parse(JSON.parse(line))
  } catch (cause) {
    throw new LockstepError(
      'ExecutionStoreUnreadable',
      `${at} is not a record of an execution.`,
      'Remove the file; its execution is then forgotten.',
      { cause },
    )
  }
}
