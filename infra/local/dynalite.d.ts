declare module 'dynalite' {
  import type { Server } from 'node:http'

  /** Only what is used here: the package has no types of its own. */
  export default function dynalite(options: { createTableMs?: number; path?: string }): Server
}
