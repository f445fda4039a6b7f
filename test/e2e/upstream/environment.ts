/** Of this process, or what stands in for it in tests. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What any program needs that fetches something: itself found, a home, and the way out to the network. */
const always = [
  ...['PATH', 'HOME', 'LANG', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'https_proxy', 'http_proxy', 'no_proxy'],
]

/** Only these and `names` of it, where they are set: nothing else of the environment is anybody's business. */
export function passed(env: Environment, names: readonly string[]): Record<string, string> {
  const entries = [...always, ...names].map((name) => [name, env[name]] as const)
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined))
}
