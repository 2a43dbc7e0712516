import { defineConfig } from 'vitest/config'

/** The long suite: `npm run test:long`, run by CI after the quick one. */
export default defineConfig({
  test: {
    include: ['test/long/**/*.test.ts'],
    env: { LTAP_TEST_MAJORS: process.env['LTAP_TEST_MAJORS'] ?? 'all' },
    setupFiles: ['test/support/setup.ts'],
    testTimeout: 1_200_000,
    hookTimeout: 600_000,
    maxWorkers: 2,
  },
})
