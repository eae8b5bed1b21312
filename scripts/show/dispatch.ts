/** 100,000 chained adds on float32[8], awaited once: at most 0.5 microseconds each without gradient and 1.2 recorded. */
import { existsSync } from 'node:fs';
import { start } from '../support/runner.js';
import { compiledLibrary, measureInChild, type Shown } from './shown.js';

const python = '/usr/bin/python3';
const peer = `
import torch, time
torch.set_num_threads(1)
def run(grad):
    best = 1e9
    for _ in range(5):
        x = torch.ones(8, requires_grad=grad); y = torch.ones(8); t = time.perf_counter()
        for _ in range(100000): x = x + y
        best = min(best, (time.perf_counter() - t) * 10)
    return best
with torch.no_grad(): plain = run(False)
print('%.3f %.3f' % (plain, run(True)))
`;

async function pytorch(): Promise<string> {
  if (!existsSync(python)) return 'cannot';
  const done = await start(python, ['-c', peer], { timeoutSeconds: 120 });
  const [plain, recorded] = done.output.trim().split('\n').at(-1)!.split(' ');
  return done.code === 0 ? `${plain} and ${recorded} us` : 'cannot';
}

export async function show(): Promise<Shown> {
  interface Figures {
    plain: number;
    recorded: number;
    scoped: [number, number];
    load: number;
  }
  const { plain, recorded, scoped, load } = await measureInChild<Figures>('dispatch', [await compiledLibrary()], {}, [
    '--expose-gc',
  ]);
  const figures = `${plain.toFixed(3)} us without gradient, ${recorded.toFixed(3)} us recorded (${scoped[0].toFixed(3)} and ${scoped[1].toFixed(3)} inside one tidy); PyTorch ${await pytorch()}; import ${load.toFixed(0)} ms over bare node`;
  return { figures, ok: plain <= 0.5 && recorded <= 1.2 && load <= 50 };
}
