/**
 * A function's setting, or an error that names it. The value is passed in, and not looked up by its name, because
 * esbuild puts values into a bundle where it sees `process.env.NAME` in full.
 */
export function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`${name} is not set for this function. Deploy again.`)
  return value
}
