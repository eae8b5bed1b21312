/** Runs each case in the simulator and prints its counters as a JSON line: what scripts/traffic.ts reads. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { tidy, Tensor } from '../../src/index.js';
import { addon } from '../../src/addon.js';
import { device as find } from '../../src/device.js';
import { casesNamed } from './cases.js';

const file = process.env['CUDASIM_COUNTERS']!;
const size = () => (existsSync(file) ? statSync(file).size : 0);
const settle = () => addon().synchronize(find('cuda').id);

for (const one of casesNamed(process.argv.slice(2))) {
  await tidy(async () => {
    try {
      const run = one.prepare();
      settle();
      const before = size();
      const result = run();
      settle();
      const launches = readFileSync(file)
        .subarray(before)
        .toString()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as unknown);
      process.stdout.write(`${JSON.stringify({ name: one.name, launches })}\n`);
      if (result instanceof Tensor) await result.ready();
    } catch (error) {
      process.stdout.write(`${JSON.stringify({ name: one.name, error: String(error) })}\n`);
    }
  });
}
