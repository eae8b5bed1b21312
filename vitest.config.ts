import { defineConfig } from 'vitest/config';
import { teethPlugin } from './scripts/teeth/plugin.js';

export default defineConfig({
  plugins: [teethPlugin()],
  test: {
    include: ['test/**/*.test.ts'],
    // Packs the whole package: vitest.package.config.ts, in `npm run check`.
    exclude: ['test/package/package.test.ts'],
    // A native crash then fails one file, not the run.
    pool: 'forks',
    setupFiles: ['test/harness/families.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: process.env['WARPLOOM_TEST_JSON']
      ? ['default', ['json', { outputFile: process.env['WARPLOOM_TEST_JSON'] }]]
      : ['default'],
  },
});
