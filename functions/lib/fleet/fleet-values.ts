import * as z from 'zod'
import { parseDuration } from '../duration.ts'
import { nearest } from '../nearest.ts'
import { shown } from './fleet-problem.ts'

/** The message for any mistake in one value: every leaf of the schema says what would be right there. */
export const give = (right: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    input === undefined ? `is missing; give ${right}` : `is ${shown(input)}; give ${right}`,
})

export const text = (pattern: RegExp, right: string) => z.string(give(right)).regex(pattern, give(right))

// At most 40 characters: execution names are `<delivery id>-<cluster>`, and Step Functions allows 80.
export const label = (what: string) =>
  text(
    /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/,
    `${what} of at most 40 lower-case letters, digits and hyphens, with a letter or digit at both ends`,
  )

export const list = <T extends z.ZodType>(item: T, right: string) => z.array(item, give(right))

const durationUpTo = (longest: string) => {
  const most = parseDuration(longest) ?? 0
  return z.string(give('a duration such as "90s", "15m" or "1h30m"')).transform((value, context) => {
    const ms = parseDuration(value)
    if (ms !== undefined && ms >= 1_000 && ms <= most) return ms
    context.addIssue({
      code: 'custom',
      message: `is ${shown(value)}; give a duration from "1s" to "${longest}", such as "90s", "5m" or "1h30m"`,
    })
    return z.NEVER
  })
}

const wholeMinutesText = 'whole minutes from "1m" to "1d", such as "2m"'

// Far below what a timer of Node can hold (24 days) and what an execution may last (one year).
export const duration = durationUpTo('7d')

// EventBridge Scheduler counts in minutes.
export const wholeMinutes = z.string(give(wholeMinutesText)).transform((value, context) => {
  const ms = parseDuration(value)
  if (ms !== undefined && ms >= 60_000 && ms <= 86_400_000 && ms % 60_000 === 0) return ms
  context.addIssue({ code: 'custom', message: `is ${shown(value)}; give ${wholeMinutesText}` })
  return z.NEVER
})

// One function waits for the fetch, and Lambda ends it after 15 minutes.
export const fetchDuration = durationUpTo('10m')

/** An object that takes no other keys. An unknown one is a mistake at its own path, with the key that was meant. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape, right: string) {
  const known = Object.keys(shape)
  const refused = z.custom(() => false, {
    error: ({ path }) => {
      const meant = nearest(String(path?.at(-1)), known)
      return `is not a known key; ${meant ? `did you mean "${meant}"?` : `known here are ${known.join(', ')}`}`
    },
  })
  // For the type it is a strict object; as a catch-all, `refused` gives one problem for each key.
  return z.object(shape, give(right)).catchall(refused) as unknown as z.ZodObject<Shape, z.core.$strict>
}

export const region = text(/^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/, 'an AWS region such as "us-east-1"')

export const account = text(/^\d{12}$/, 'the 12 digits of an AWS account, in quotes')

/** What may be written as its name alone. */
export const named = <Shape extends z.core.$ZodLooseShape>(key: string, shape: Shape, right: string) =>
  z.preprocess((raw) => (typeof raw === 'string' ? { [key]: raw } : raw), section(shape, right))

/** `10MiB`, in bytes. */
export const size = z.string(give('a size such as "10MiB"')).transform((value, context) => {
  const [, count, unit] = /^(\d{1,6})(KiB|MiB)$/.exec(value) ?? []
  const bytes = Number(count) * (unit === 'MiB' ? 1024 : 1) * 1024
  if (bytes > 0) return bytes
  context.addIssue({ code: 'custom', message: `is ${shown(value)}; give a size such as "512KiB" or "10MiB"` })
  return z.NEVER
})
