/** What the JavaScript peers share: time programs as bench/pytorch.py does, one row of JSON a line, a reason where one cannot. */
export const tinyChain = 1000;

export const threads = Number(process.argv[2]);
const cases = process.argv.slice(3);

/** `programs[case]` makes a program: an async function that ends when its result is there. */
export async function measureAll(peer, programs) {
  for (const name of cases) {
    const row = { peer, case: name, threads, dtype: 'float32', median_ms: 0, min_ms: 0, reps: 0 };
    try {
      const make = programs[name];
      if (!make) throw new Error('no program for it in this benchmark');
      const program = await make();
      for (let i = 0; i < 2; i++) await program();
      const samples = [];
      const began = performance.now();
      while (samples.length < 5 || performance.now() - began < 1500) {
        const from = performance.now();
        await program();
        samples.push(performance.now() - from);
      }
      samples.sort((a, b) => a - b);
      const unit = 1 / (name === 'tiny_add' ? tinyChain : 1);
      Object.assign(row, {
        median_ms: samples[samples.length >> 1] * unit,
        min_ms: samples[0] * unit,
        reps: samples.length,
      });
    } catch (error) {
      row.error = String(error?.message ?? error)
        .split('\n')[0]
        .slice(0, 160);
    }
    console.log(JSON.stringify(row));
  }
}

/** Why a peer without threads has no row at more than one. */
export function onlyOneThread(peer) {
  const reason = async () => {
    throw new Error('runs on one thread only');
  };
  return threads === 1 ? null : measureAll(peer, Object.fromEntries(cases.map((name) => [name, reason])));
}
