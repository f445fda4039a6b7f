import * as z from 'zod'

/** What Kubernetes gives a pod that says nothing, in seconds. */
const usualGraceSeconds = 30

/** How long tofu-controller waits for runs that go on when it is told nothing else, in milliseconds. */
const usualShutdownMs = 4 * 60_000

const flag = '--graceful-shutdown-timeout'

/** A pod's template, as far as it says how long the pod takes to end. */
export const endingPodSchema = z.object({
  terminationGracePeriodSeconds: z.number().nonnegative().default(usualGraceSeconds),
  containers: z.array(z.object({ command: z.array(z.string()).nullish(), args: z.array(z.string()).nullish() })),
})

/**
 * How long a pod of tofu-controller may take to end, and how long it takes with a run that does not end. Both in
 * milliseconds. A flag that cannot be read counts as the whole grace.
 */
export function shutdownOf({ terminationGracePeriodSeconds, containers }: z.infer<typeof endingPodSchema>): {
  readonly graceMs: number
  readonly shutdownMs: number
} {
  const graceMs = terminationGracePeriodSeconds * 1_000
  const given = containers.flatMap(({ command, args }) => flagIn([...(command ?? []), ...(args ?? [])]) ?? []).at(0)
  const shutdownMs = given === undefined ? usualShutdownMs : (goDuration(given) ?? graceMs)
  // After the grace the kubelet kills it.
  return { graceMs, shutdownMs: Math.min(shutdownMs, graceMs) }
}

/** The last one counts, as for the program. */
function flagIn(words: readonly string[]): string | undefined {
  const at = words.findLastIndex((word) => word === flag || word.startsWith(`${flag}=`))
  const word = words[at]
  return word === flag ? words[at + 1] : word?.slice(flag.length + 1)
}

const goUnits: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** Milliseconds of a duration as Go writes it (`4m0s`, `1.5h`, `500ms`); undefined where it is none. */
function goDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)]
  return parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (goUnits[unit] ?? 0), 0)
}
