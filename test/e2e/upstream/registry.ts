import { LockstepError } from '../../../functions/lib/errors.ts'

/** A registry that should have served packages does not answer. */
export class RegistryUnreachable extends LockstepError {
  constructor(registry: string, tail: string, log: string) {
    const next = `See whether this machine has a way out to it, a proxy included, and run the same again: what is already there is not fetched twice. All output is in ${log}.`
    super('RegistryUnreachable', `${registry} cannot be reached. The end of what was said:\n${tail}\n`, next)
  }
}

/** Whether the output of Go or pip is about the way to the registry, and not about what it said. */
export function isUnreachable(output: string): boolean {
  return /dial tcp|no such host|connection refused|connection reset|i\/o timeout|TLS handshake timeout|proxyconnect|network is unreachable|Failed to establish a new connection|NameResolutionError|Temporary failure in name resolution|ConnectTimeoutError|ReadTimeoutError|Cannot connect to proxy/i.test(
    output,
  )
}
