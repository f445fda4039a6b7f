import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/e2e/**/*.test.ts'],
    globalSetup: 'test/e2e/provided.ts',
    // Threads end with the process, however it ends; a forked worker would outlive a SIGKILL of it.
    pool: 'threads',
    // Suites wait for controllers half of their time: three clusters are what two cores can do.
    maxWorkers: 3,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    slowTestThreshold: 60_000,
    reporters: ['verbose'],
  },
})
