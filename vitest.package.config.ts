import { defineConfig } from 'vitest/config';

/** The package as a user gets it; part of `npm run check`, because packing builds everything anew. */
export default defineConfig({
  test: {
    include: ['test/package/package.test.ts'],
    pool: 'forks',
    testTimeout: 600_000,
    hookTimeout: 1_200_000,
    reporters: process.env['WARPLOOM_TEST_JSON']
      ? ['default', ['json', { outputFile: process.env['WARPLOOM_TEST_JSON'] }]]
      : ['default'],
  },
});
