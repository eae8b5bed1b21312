/** Loops without scopes: one that awaits each step must stay bounded, one that never does must end in a typed error. */
import * as wl from '../../../src/index.js';
import { OutOfMemoryError } from '../../../src/index.js';

const mode = process.argv[2];
const bytes = 4 * 2 ** 20;

if (mode === 'awaiting') {
  let peak = 0;
  for (let i = 0; i < 400; i++) {
    const x = wl.ones([bytes / 4]);
    const y = wl.mul(x, 2);
    await wl.sum(y).item();
    peak = Math.max(peak, wl.memory().active);
  }
  process.stdout.write(`${JSON.stringify({ peak })}\n`);
} else {
  let warnings = 0;
  process.on('warning', (warning) => {
    if (/tidy/.test(warning.message)) warnings++;
  });
  wl.setMemoryLimit(2 ** 31);
  let error: unknown;
  try {
    for (let i = 0; i < 10_000; i++) wl.ones([bytes / 4]);
  } catch (thrown) {
    error = thrown;
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  const typed = error instanceof OutOfMemoryError && /tidy/.test(error.message);
  // Alive: memory is free again and ops run.
  (globalThis as { gc?: () => void }).gc?.();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const alive = (await wl.sum(wl.ones([10])).item()) === 10;
  process.stdout.write(`${JSON.stringify({ warnings, typed, alive })}\n`);
}
