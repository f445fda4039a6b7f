import { createHash, randomUUID } from 'node:crypto'
import jsonata from 'jsonata'

/** Where the functions take time and chance from. */
export interface Surroundings {
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number
}

/** The functions of JSONata 2.0.6, which is what Step Functions offers, without `$eval`. */
const builtIn = `sum count max min average string substring substringBefore substringAfter lowercase uppercase length
  trim pad match contains replace split join formatNumber formatBase formatInteger parseInteger number floor ceil
  round abs sqrt power boolean not map zip filter single reduce sift keys lookup append exists spread merge reverse
  each error assert type sort shuffle distinct base64encode base64decode encodeUrlComponent encodeUrl
  decodeUrlComponent decodeUrl toMillis fromMillis clone now millis random`.split(/\s+/)

const ofStepFunctions = ['partition', 'range', 'hash', 'uuid', 'parse']

/** Every function that an expression may call by name. */
export const functionNames: ReadonlySet<string> = new Set([...builtIn, ...ofStepFunctions])

const hashes: Readonly<Record<string, string>> = {
  MD5: 'md5',
  'SHA-1': 'sha1',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
}

const rangeLimit = 1_000

const formatTime = jsonata('$fromMillis($time, $picture, $zone)')

/**
 * What Step Functions adds to JSONata or does in another way; `$now` and `$millis` follow our clock. Bindings for one
 * evaluation. They throw plain errors, which become States.QueryEvaluationError.
 */
export function stepFunctionsBindings({ now, random }: Surroundings): Record<string, unknown> {
  return {
    partition,
    range,
    hash,
    parse,
    uuid: () => randomUUID(),
    random: (seed?: unknown) => (seed === undefined ? random() : seeded(seed)),
    millis: () => now,
    now: (picture?: unknown, zone?: unknown) => formatTime.evaluate(undefined, { time: now, picture, zone }),
    eval: undefined,
  }
}

function partition(items: unknown, size: unknown): unknown[][] | undefined {
  if (items === undefined) return undefined
  const chunk = whole(size, '$partition', 'size')
  if (chunk < 1) throw new Error('$partition: the size must be at least 1')
  const list = Array.isArray(items) ? items : [items]
  return Array.from({ length: Math.ceil(list.length / chunk) }, (_, index) =>
    list.slice(index * chunk, (index + 1) * chunk),
  )
}

function range(first: unknown, last: unknown, step: unknown): number[] {
  const from = whole(first, '$range', 'first')
  const to = whole(last, '$range', 'last')
  const by = whole(step, '$range', 'step')
  if (by === 0) throw new Error('$range: the step must not be 0')
  const count = Math.max(0, Math.floor((to - from) / by) + 1)
  if (count > rangeLimit) throw new Error(`$range: more than ${rangeLimit} numbers`)
  return Array.from({ length: count }, (_, index) => from + index * by)
}

function hash(content: unknown, algorithm: unknown): string | undefined {
  if (content === undefined) return undefined
  const name = typeof algorithm === 'string' && Object.hasOwn(hashes, algorithm) ? hashes[algorithm] : undefined
  if (!name) throw new Error(`$hash: the algorithm must be one of ${Object.keys(hashes).join(', ')}`)
  if (typeof content !== 'string') throw new Error('$hash: the content must be a string')
  return createHash(name).update(content).digest('hex')
}

function parse(text: unknown): unknown {
  if (text === undefined) return undefined
  if (typeof text !== 'string') throw new Error('$parse: the argument must be a string')
  return JSON.parse(text)
}

/** The same number for the same seed (the sequence differs from that of Step Functions, which is not published). */
function seeded(seed: unknown): number {
  const digest = createHash('sha256')
    .update(String(whole(seed, '$random', 'seed')))
    .digest()
  return digest.readUIntBE(0, 6) / 2 ** 48
}

function whole(value: unknown, name: string, argument: string): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value
  throw new Error(`${name}: ${argument} must be a whole number`)
}
