import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/{unit,contracts,integration}/**/*.test.ts'],
    // All cores: nothing here waits for anything but itself.
    maxWorkers: '100%',
    // For what hangs, and not for how long things take: a busy machine may be ten times as slow.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
})
