export type LogFields = Record<string, string | number | boolean>

/**
 * Where steps say what they do. Fields are ids, counts and names: never a payload, a token or a header.
 * Powertools' Logger has this shape.
 */
export interface Log {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
}

export const silentLog: Log = { info: () => {}, warn: () => {} }
