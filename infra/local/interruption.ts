/** Aborts at the first SIGINT or SIGTERM; the second one ends the process where it stands. */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code)
      controller.abort()
    })
  }
  return controller.signal
}
