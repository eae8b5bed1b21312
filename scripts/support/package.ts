import { runVitest } from './vitest.js';
import type { Totals } from './runner.js';

/** Packs, installs and uses the package as a user does: test/package/package.test.ts. */
export async function checkPackage(): Promise<Totals> {
  const { totals } = await runVitest(['--config', 'vitest.package.config.ts']);
  return totals;
}
