/** `npm run show -- memory|eventloop|workers|hostile|resume|dispatch`: one acceptance figure each, `NAME: FIGURES: ok` or `: SHORT`. */
import { ensureBuilt } from './build.js';
import type { Shown } from './show/shown.js';

const shows: Record<string, () => Promise<{ show(): Promise<Shown> }>> = {
  memory: () => import('./show/memory.js'),
  eventloop: () => import('./show/eventloop.js'),
  workers: () => import('./show/workers.js'),
  hostile: () => import('./show/hostile.js'),
  resume: () => import('./show/resume.js'),
  dispatch: () => import('./show/dispatch.js'),
};

const name = process.argv[2] ?? '';
const load = Object.hasOwn(shows, name) ? shows[name] : undefined;
if (!load) {
  process.stderr.write(`usage: npm run show -- ${Object.keys(shows).join('|')}\n`);
  process.exit(2);
}
await ensureBuilt('addon');
const { figures, ok } = await (await load()).show();
process.stdout.write(`${name}: ${figures}: ${ok ? 'ok' : 'SHORT'}\n`);
process.exit(ok ? 0 : 1);
