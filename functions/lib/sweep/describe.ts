/** The command that shows an object, of its key. */
export function describe(key: string): string {
  const [kind = '', namespace = '', name = ''] = key.split('/')
  return `kubectl -n ${namespace} describe ${kind.toLowerCase()} ${name}`
}
