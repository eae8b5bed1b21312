/** How late a 1 ms timer fires, idle and while large products run. */
import * as wl from '../../../src/index.js';

const [countText, sizeText] = process.argv.slice(2) as [string, string];
const count = Number(countText);
const size = Number(sizeText);

function watch(): () => number[] {
  const late: number[] = [];
  let due = performance.now() + 1;
  let timer: NodeJS.Timeout;
  const tick = () => {
    const now = performance.now();
    late.push(Math.max(0, now - due));
    due = now + 1;
    timer = setTimeout(tick, 1);
  };
  timer = setTimeout(tick, 1);
  return () => {
    clearTimeout(timer);
    return late;
  };
}

const a = wl.rand([size, size]);
const b = wl.rand([size, size]);
await wl.matmul(a, b).ready();
let stop = watch();
const began = performance.now();
await wl.tidy(async () => {
  let c = a;
  for (let i = 0; i < count; i++) c = wl.matmul(a, b);
  await c.ready();
});
const seconds = (performance.now() - began) / 1000;
const busy = stop();
stop = watch();
await new Promise((resolve) => setTimeout(resolve, Math.min(3000, seconds * 1000)));
const idle = stop();
process.stdout.write(`${JSON.stringify({ busy, idle, seconds })}\n`);
