import { createHmac, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'

/** Which attempt of which task a token stands for. */
export interface TokenSubject {
  readonly executionArn: string
  /** Of the attempt, see `taskKey` of the execution. */
  readonly task: string
}

const subject = z.tuple([z.string(), z.string()])

/**
 * A task token: the same for the same attempt, so that it stays valid when the attempt is run again after a restart,
 * and signed, so that it cannot be made up. It needs no store of its own.
 */
export function taskToken(key: Buffer, { executionArn, task }: TokenSubject): string {
  const body = Buffer.from(JSON.stringify([executionArn, task])).toString('base64url')
  return `${body}.${signature(key, body).toString('base64url')}`
}

/** What a token stands for; undefined when it is not one of ours. */
export function readTaskToken(key: Buffer, token: string): TokenSubject | undefined {
  const [body = '', signed = ''] = token.split('.')
  const given = Buffer.from(signed, 'base64url')
  const right = signature(key, body)
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
  const [executionArn, task] = subject.parse(JSON.parse(Buffer.from(body, 'base64url').toString()))
  return { executionArn, task }
}

const signature = (key: Buffer, body: string): Buffer => createHmac('sha256', key).update(body).digest()
