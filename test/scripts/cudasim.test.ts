/** `npm run cudasim`: what it computes against plain loops, what it finds, and what it says about wrong command lines. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ensureSimulator } from '../../scripts/build.js';
import { main } from '../../scripts/cudasim/command.js';
import type { Report } from '../../scripts/cudasim/report.js';
import { findNvcc } from '../../scripts/support/nvcc.js';
import { root } from '../harness/surface.js';

const kernel = (name: string): string => join(root, 'test', 'scripts', 'kernels', name);
const scratch = mkdtempSync(join(tmpdir(), 'cudasim-test-'));
beforeAll(ensureSimulator, 600_000);
afterAll(() => rmSync(scratch, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

class Sink {
  text = '';
  readonly stream = { write: (text: string) => ((this.text += text), true) } as NodeJS.WritableStream;
}

async function cudasim(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err] = [new Sink(), new Sink()];
  const code = await main(args, out.stream, err.stream);
  return { code, out: out.text, err: err.text };
}

async function report(...args: string[]): Promise<Report & { code: number }> {
  const { code, out, err } = await cudasim(...args, '--json');
  expect(err).toBe('');
  return { code, ...(JSON.parse(out) as Report) };
}

const size = ['--grid', '4', '--block', '256'];
const saxpy = (n: number, a = 'f32=3') => [
  ...[kernel('saxpy.ptx'), ...size, '--arg', 'f32:1000:ones', '--arg', 'f32:1000:arange'],
  ...['--arg', a, '--arg', `i32=${n}`],
];

describe('a clean kernel', () => {
  test('gives values, counters and a hash', async () => {
    const done = await report(...saxpy(1000));
    expect(done).toMatchObject({ code: 0, kernel: 'saxpy', grid: [4, 1, 1], block: [256, 1, 1], shared: 0 });
    expect(done).toMatchObject({ failure: null, findings: [] });
    const expected = Float32Array.from({ length: 1000 }, (_, i) => 3 * i + 1);
    expect(done.arguments[0]).toEqual({
      argument: 'f32:1000:ones',
      parameter: '.u64 y',
      result: {
        written: true,
        first: [...expected.subarray(0, 8)],
        min: 1,
        max: 2998,
        nan: 0,
        sha256: createHash('sha256').update(expected).digest('hex'),
      },
    });
    expect(done.arguments[1]!.result).toMatchObject({ written: false, max: 999 });
    expect(done.arguments.slice(2)).toEqual([
      { argument: 'f32=3', parameter: '.f32 a' },
      { argument: 'i32=1000', parameter: '.u32 n' },
    ]);
    expect(done.counters).toMatchObject({ launches: 1, flops32: 2000, globalLoadBytes: 8000, globalStoreBytes: 4000 });
  });

  test('is readable', async () => {
    const { code, out } = await cudasim(...saxpy(1000));
    expect(code).toBe(0);
    expect(out).toMatch(/^saxpy: grid 4,1,1, block 256,1,1, 0 bytes of dynamic shared memory\n\nno findings\n/);
    expect(out).toMatch(/^ {2}operations +float32 2,000$/m);
    expect(out).toMatch(
      /^ {2}0 \.u64 y: f32:1000:ones, written\n {4}first 1 4 7 10 13 16 19 22\n {4}min 1, max 2998, NaN 0/m,
    );
    expect(out).toMatch(/^ {2}1 \.u64 x: f32:1000:arange, not changed$/m);
  });

  test('NaN is counted and left out of min and max', async () => {
    const done = await report(...saxpy(10, 'f32=NaN'));
    expect(done.arguments[0]!.result).toMatchObject({ min: 1, max: 1, nan: 10, first: Array(8).fill('NaN') });
  });

  test('arguments of 8 bytes keep their bits, and an uninitialised buffer stays so', async () => {
    const args = ['i64:3:arange', 'f16:5:uninit', 'f64=0.1', 'i64=-9223372036854775808'];
    const done = await report(
      ...[kernel('order.ptx'), '--kernel', 'idle', '--grid', '1', '--block', '1'],
      ...args.flatMap((arg) => ['--arg', arg]),
    );
    expect(done.code).toBe(0);
    expect(done.arguments[0]!.result).toMatchObject({ first: ['0', '1', '2'], written: false });
    // The simulator fills fresh memory with the bytes of NaN.
    expect(done.arguments[1]!.result).toMatchObject({ nan: 5, min: null });
  });

  test('--seed orders the blocks', async () => {
    const places = async (seed: string): Promise<readonly unknown[]> => {
      const args = ['--kernel', 'order', '--grid', '8', '--block', '1', '--threads', '1', '--seed', seed];
      const done = await report(kernel('order.ptx'), ...args, '--arg', 'i32:1:zeros', '--arg', 'i32:8:uninit');
      expect(done.code).toBe(0);
      return done.arguments[1]!.result!.first;
    };
    expect(await places('0')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const shuffled = await Promise.all(['1', '2', '3'].map(places));
    for (const order of shuffled) expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(new Set(shuffled.map(String)).size).toBeGreaterThan(1);
  });
});

describe('a kernel with a bug', () => {
  const loadLine =
    readFileSync(kernel('saxpy.ptx'), 'utf8')
      .split('\n')
      .findIndex((line) => /ld\.global.*%f2/.test(line)) + 1;

  test('ends with 1 and the finding', async () => {
    const done = await report(...saxpy(1001));
    expect(done).toMatchObject({ code: 1, failure: { call: 'cuCtxSynchronize', code: 700 } });
    expect(done.findings).toHaveLength(1);
    expect(done.findings[0]).toMatchObject({
      check: 'mem',
      kernel: 'saxpy',
      block: [3, 0, 0],
      thread: [232, 0, 0],
      ptx_line: loadLine,
    });
    expect(done.arguments.every(({ result }) => result === undefined)).toBe(true);
  });

  test('is readable: message, place, the line itself', async () => {
    const { code, out } = await cudasim(...saxpy(1001));
    expect(code).toBe(1);
    expect(out).toContain('cuCtxSynchronize returned 700, CUDA_ERROR_ILLEGAL_ADDRESS');
    expect(out).toMatch(
      new RegExp(
        `^1 finding\\n  mem: .+\\n    at PTX line ${loadLine}, block 3,0,0, thread 232,0,0\\n    \\| ld\\.global\\.f32 %f2`,
        'm',
      ),
    );
  });

  test('reads what nobody wrote, unless --check leaves it out', async () => {
    const args = [
      kernel('saxpy.ptx'),
      ...size,
      '--arg',
      'f32:1000:ones',
      '--arg',
      'f32:1000:uninit',
      '--arg',
      'f32=1',
      '--arg',
      'i32=1000',
    ];
    const done = await report(...args);
    expect(done.code).toBe(1);
    expect(done.findings.map(({ check }) => check)).toEqual(['init']);
    expect(await report(...args, '--check', 'mem,race')).toMatchObject({ code: 0, findings: [] });
    expect(await report(...args, '--check', 'none')).toMatchObject({ code: 0, findings: [] });
  });
});

describe('a command line that cannot be', () => {
  const wrong = async (code: number, message: string | RegExp, ...args: string[]) => {
    const done = await cudasim(...args);
    expect(done.err).toMatch(message);
    expect(done).toMatchObject({ code, out: '' });
  };

  test('an unknown kernel lists those there are, with their parameters', async () => {
    const list = /\n {2}order\(\.u64 counter, \.u64 places\)\n {2}idle\(\.u64 first, .+\.s64 fourth\)\n$/;
    await wrong(2, /^cudasim: there is no kernel 'none'/, kernel('order.ptx'), '--kernel', 'none', ...size);
    await wrong(2, list, kernel('order.ptx'), '--kernel', 'none', ...size);
    await wrong(2, /has 2 kernels; choose one with --kernel/, kernel('order.ptx'), ...size);
    await wrong(2, list, kernel('order.ptx'), ...size);
  });

  test('arguments that do not fit name the parameter list', async () => {
    const list = /; the kernel is\n {2}saxpy\(\.u64 y, \.u64 x, \.f32 a, \.u32 n\)\n$/;
    const given = (...args: string[]) => [kernel('saxpy.ptx'), ...size, ...args.flatMap((arg) => ['--arg', arg])];
    for (const [message, ...args] of [
      [/0 arguments were given for 4 parameters/],
      [/5 arguments were given for 4 parameters/, 'f32:1:ones', 'f32:1:ones', 'f32=1', 'i32=1', 'i32=1'],
      [/argument 0 is i32 \(4 bytes\), its parameter has 8 bytes/, 'i32=1', 'f32:1:ones', 'f32=1', 'i32=1'],
      [/argument 3 is i64 \(8 bytes\), its parameter has 4 bytes/, 'f32:1:ones', 'f32:1:ones', 'f32=1', 'i64=1'],
      [/argument 2 is a buffer/, 'f32:1:ones', 'f32:1:ones', 'f32:1:ones', 'i32=1'],
      [/argument 2 is i32 \(4 bytes\), its parameter is \.f32/, 'f32:1:ones', 'f32:1:ones', 'i32=1', 'i32=1'],
      [/argument 3 is f32 \(4 bytes\), its parameter is \.u32/, 'f32:1:ones', 'f32:1:ones', 'f32=1', 'f32=1'],
      [/argument 0 is f64 \(8 bytes\), its parameter is \.u64/, 'f64=1', 'f32:1:ones', 'f32=1', 'f32=1'],
    ] as [RegExp, ...string[]][]) {
      await wrong(2, message, ...given(...args));
      await wrong(2, list, ...given(...args));
    }
  });

  test('each option says what it takes', async () => {
    const file = kernel('saxpy.ptx');
    for (const [message, ...args] of [
      [/one FILE/],
      [/one FILE/, file, file],
      [/none\.ptx: no such file/, 'none.ptx'],
      [/neither a \.ptx nor a \.cu/, join(root, 'package.json')],
      [/--grid takes X, X,Y or X,Y,Z, each from 1$/m, file],
      [/--block takes .+, not '0'/, file, '--grid', '1', '--block', '0'],
      [/--grid takes .+, not '1,2,3,4'/, file, '--grid', '1,2,3,4', '--block', '1'],
      [/--smem takes a whole number, not '-1'/, file, ...size, '--smem=-1'],
      [/--seed takes a whole number/, file, ...size, '--seed', 'x'],
      [/--check takes .+, not 'memory'/, file, ...size, '--check', 'memory'],
      [/KIND of a buffer is .+, not 'f8'/, file, ...size, '--arg', 'f8:1:ones'],
      [/N is a whole number from 1, not '0'/, file, ...size, '--arg', 'f32:0:ones'],
      [/FILL is .+, not 'random'/, file, ...size, '--arg', 'f32:1:random'],
      [/SEED is a whole number/, file, ...size, '--arg', 'f32:1:randn:x'],
      [/randn is for floating point/, file, ...size, '--arg', 'i32:1:randn'],
      [/a scalar is .+, not 'f16='/, file, ...size, '--arg', 'f16=1'],
      [/i32 reaches from -2147483648 to 2147483647/, file, ...size, '--arg', 'i32=2147483648'],
      [/u64 reaches from 0 to 18446744073709551615/, file, ...size, '--arg', 'u64=-1'],
      [/'1.5' is not a whole number/, file, ...size, '--arg', 'i32=1.5'],
      [/'half' is not a number/, file, ...size, '--arg', 'f32=half'],
      [/--frob/, file, ...size, '--frob'],
    ] as [RegExp, ...string[]][]) {
      await wrong(2, message, ...args);
    }
    expect(await cudasim('--help')).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('usage:') as string,
    });
  });

  test('what the driver refuses is said', async () => {
    const args = saxpy(1000);
    args[args.indexOf('256')] = '2048';
    await wrong(1, /cuLaunchKernel returned 1, CUDA_ERROR_INVALID_VALUE[^]+at most 1024 threads in a block/, ...args);
    await wrong(1, /163 KB of shared memory/, ...saxpy(1000), '--smem', '200000');
    const text = readFileSync(kernel('saxpy.ptx'), 'utf8');
    const file = join(scratch, 'wrong.ptx');
    writeFileSync(file, text.replace('fma.rn.f32', 'frobnicate.f32'));
    const line = text.split('\n').findIndex((l) => l.includes('fma.rn.f32')) + 1;
    await wrong(1, new RegExp(`\\b${line}\\b.*frobnicate`), file, ...size);
    vi.stubEnv('CUDASIM_MAX_STEPS', 'many');
    await wrong(1, /CUDASIM_MAX_STEPS=many is not a number/, ...saxpy(1000));
  });
});

describe('a .cu file', () => {
  const nvcc = findNvcc();
  if (nvcc === undefined) console.warn('SKIPPED the .cu files of npm run cudasim: no nvcc');
  const run = ['--grid', '1', '--block', '64', '--arg', 'f32:64:arange'];

  test.skipIf(nvcc === undefined)('is compiled, and findings name its lines', async () => {
    const file = kernel('reverse.cu');
    const clean = await report(file, '--kernel', 'correct', ...run);
    expect(clean).toMatchObject({ code: 0, kernel: expect.stringMatching(/^_ZN8reversal7correct/) as string });
    const expected = Float32Array.from({ length: 64 }, (_, i) => 63 - i);
    const sha256 = createHash('sha256').update(expected).digest('hex');
    expect(clean.arguments[0]!.result).toMatchObject({ sha256 });
    const racing = await report(file, '--kernel', 'racing', ...run, '--check', 'race');
    expect(racing.code).toBe(1);
    const line =
      readFileSync(file, 'utf8')
        .split('\n')
        .findIndex((l) => l.includes('races without')) + 1;
    expect(racing.findings).toContainEqual(expect.objectContaining({ check: 'race', file, line }));
  });

  test.skipIf(nvcc === undefined)('that nvcc refuses shows its errors', async () => {
    const file = join(scratch, 'wrong.cu');
    writeFileSync(file, '__global__ void f(float* y) { y[0] = frob; }\n');
    const { code, err } = await cudasim(file, ...run);
    expect(code).toBe(1);
    expect(err).toMatch(/nvcc did not compile .+\n.*wrong\.cu\(1\): error: identifier "frob" is undefined/);
  });

  test('needs nvcc', async () => {
    vi.stubEnv('WARPLOOM_NVCC', '');
    const { code, err } = await cudasim(kernel('reverse.cu'), ...run);
    expect(code).toBe(1);
    expect(err).toMatch(/reverse\.cu needs nvcc, and there is none \(WARPLOOM_NVCC is empty\)/);
    vi.stubEnv('WARPLOOM_NVCC', join(scratch, 'no-nvcc'));
    expect((await cudasim(kernel('reverse.cu'), ...run)).err).toMatch(/WARPLOOM_NVCC=.+no-nvcc is not a program/);
  });
});

test('npm run cudasim runs it', async () => {
  const done = await promisify(execFile)('npm', ['run', '-s', 'cudasim', '--', ...saxpy(1000)], { cwd: root });
  expect(done.stdout).toMatch(/^saxpy: grid 4,1,1/);
});
