import { printable } from '../../../infra/local/display/terminal-text.ts'

export interface ReportOptions {
  readonly output: { write(text: string): unknown }
  /** One JSON document a line in place of text. */
  readonly json: boolean
}

/** What `npm run cluster` tells whoever started it. */
export interface Report {
  /** A step that is done, with the time since the start. */
  step(line: string): void
  /** Something that happens while the cluster is up. `details` are for scripts. */
  event(line: string, details: Readonly<Record<string, unknown>>): void
  /** All that one needs to use the cluster. `text` is for people, `details` for scripts. */
  ready(text: string, details: Readonly<Record<string, unknown>>): void
}

export function startReport({ output, json }: ReportOptions): Report {
  const startedAt = performance.now()
  const elapsed = () => Math.round(performance.now() - startedAt)
  const document = (type: string, details: object) =>
    output.write(`${JSON.stringify({ type, at: new Date().toISOString(), ...details })}\n`)
  if (json) {
    return {
      step: (message) => document('step', { message, elapsedMs: elapsed() }),
      event: (message, details) => document('event', { message, ...details }),
      ready: (_, details) => document('ready', { elapsedMs: elapsed(), ...details }),
    }
  }
  return {
    step: (line) => output.write(`${(elapsed() / 1_000).toFixed(1).padStart(6)} s  ${printable(line)}\n`),
    event: (line) => output.write(`${printable(line)}\n`),
    ready: (text) => output.write(text),
  }
}
