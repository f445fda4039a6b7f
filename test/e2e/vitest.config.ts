import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/e2e/**/*.test.ts'],
    globalSetup: 'test/e2e/provided.ts',
    // Threads end with the process, however it ends; a forked worker would outlive a SIGKILL of it.
    pool: 'threads',
    // A cluster keeps a core busy.
    maxWorkers: 2,
    // For what hangs, and not for how long things take: a busy machine may be ten times as slow.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    slowTestThreshold: 60_000,
    reporters: ['verbose'],
  },
})
