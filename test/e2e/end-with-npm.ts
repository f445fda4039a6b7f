const everyMs = 1_000

/**
 * npm cannot pass a SIGKILL on: where npm started this process, it ends soon after npm has. Does nothing for whoever
 * was started in another way, who may well outlive a shell.
 */
export function endWithNpm(env: Readonly<Record<string, string | undefined>> = process.env): void {
  if (env.npm_lifecycle_event === undefined) return
  const npm = process.ppid
  setInterval(() => process.ppid === npm || process.exit(1), everyMs).unref()
}
