/** Writes checkpoints without end, for a test that kills it: the folder is the argument. */
import { saveCheckpoint, tensor } from '../../src/index.js';

const folder = process.argv[2]!;
for (let step = 1; ; step++) {
  const a = tensor(new Float32Array(200_000).fill(step));
  await saveCheckpoint(folder, step, { a }, { step }, { keep: 2 });
  a.dispose();
  if (step === 2) process.stdout.write('started\n');
}
