import { describe, expect, it } from 'vitest';
import { main } from '../../src/cli/command.js';

class Sink {
  text = '';
  readonly stream = { write: (text: string) => ((this.text += text), true) } as NodeJS.WritableStream;
}

function warploom(...args: string[]): { code: number; out: string; err: string } {
  const [out, err] = [new Sink(), new Sink()];
  const code = main(args, out.stream, err.stream);
  return { code, out: out.text, err: err.text };
}

describe('warploom', () => {
  it('inspects as JSON', () => {
    const { code, out, err } = warploom('inspect', '--json');
    expect([code, err]).toEqual([0, '']);
    const report = JSON.parse(out) as Record<string, unknown>;
    expect(Object.keys(report)).toEqual(['device', 'reason', 'isa', 'threads', 'memory', 'simulated']);
    expect(report['device']).toBe('cpu');
    expect(report['isa']).toMatch(/^(baseline|avx2|avx512)$/);
    expect(report['threads']).toBeGreaterThanOrEqual(1);
    expect(report['memory']).toEqual({
      active: expect.any(Number),
      reserved: expect.any(Number),
      peak: expect.any(Number),
      limit: expect.any(Number),
    });
    expect(report['simulated']).toBe(false);
  });

  it('inspects as text', () => {
    const { code, out } = warploom('inspect');
    expect(code).toBe(0);
    expect(out).toMatch(/^device: cpu\nreason: .+\nisa: .+\nthreads: \d+\nmemory: .+ in use/);
  });

  it('explains itself, and what it does not understand', () => {
    expect(warploom().out).toMatch(/usage: warploom COMMAND/);
    expect(warploom('--help').code).toBe(0);
    expect(warploom('inspekt')).toMatchObject({
      code: 2,
      err: expect.stringContaining("no command 'inspekt'") as string,
    });
    expect(warploom('inspect', '--jsn')).toMatchObject({ code: 2, err: expect.stringContaining("'--jsn'") as string });
  });
});
