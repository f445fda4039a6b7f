const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 } as const

const pattern = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$/

/**
 * Milliseconds of a duration such as `90s`, `15m`, `1h30m` or `2d`: whole numbers, the larger unit first, each
 * unit at most once. Undefined where the text is no such duration.
 */
export function parseDuration(text: string): number | undefined {
  const match = pattern.exec(text)
  if (!match || text === '') return undefined
  const [, d = '0', h = '0', m = '0', s = '0'] = match
  return Number(d) * units.d + Number(h) * units.h + Number(m) * units.m + Number(s) * units.s
}

/** The shortest text that `parseDuration` reads as `ms`, rounded to whole seconds: `1h30m`, `0s`. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms / units.s) * units.s
  let text = ''
  for (const [unit, size] of Object.entries(units)) {
    const count = Math.floor(rest / size)
    if (count > 0) text += `${count}${unit}`
    rest -= count * size
  }
  return text || '0s'
}
