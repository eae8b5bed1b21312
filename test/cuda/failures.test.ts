/**
 * What a program sees when CUDA fails. The simulator poses as an old driver, a small device or a failing call; each case is a process of
 * its own, which must live on: its last line is printed by work that is done after the failure.
 */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { root } from '../harness/surface.js';
import { outside } from './support.js';

/** Prints how a promise or a call ends. */
const helpers = `
const told = async (what) => {
  try {
    const value = await what();
    console.log('value', value instanceof wl.Tensor ? await value.data() : value);
  } catch (error) {
    console.log(error.name, error.code, error instanceof wl.WarploomError, error.message);
  }
};
const { inspect } = await import(${JSON.stringify(join(root, 'src', 'cli', 'inspect.ts'))});
`;
const run = async (body: string, env: Record<string, string | undefined> = {}): Promise<string[]> => {
  const { code, out, err } = await outside(helpers + body, env);
  expect(code, `${out}\n${err}`).toBe(0);
  return out.split('\n');
};

const folders: string[] = [];
const folder = (): string => {
  folders.push(mkdtempSync(join(tmpdir(), 'warploom-cuda-')));
  return folders.at(-1)!;
};
/** The PTX of all families, to be changed. */
const copyOfKernels = (): string => {
  const path = folder();
  for (const name of readdirSync(join(root, 'kernels'))) {
    if (name.endsWith('.ptx')) copyFileSync(join(root, 'kernels', name), join(path, name));
  }
  return path;
};
afterAll(() => folders.forEach((path) => rmSync(path, { recursive: true })));

describe('memory', () => {
  test('a tensor that does not fit is an OutOfMemoryError at the call, and the device goes on', async () => {
    const [refused, after, summed] = await run(
      `await told(() => wl.zeros([2 ** 26], { device: 'cuda' }));
       await told(() => wl.ones([3], { device: 'cuda' }).add(1));
       await told(() => { const x = wl.ones([2 ** 22], { device: 'cuda' }); return x.add(x).slice(0, 0, 2).contiguous(); });`,
      { CUDASIM_MEMORY: String(64 << 20) },
    );
    expect(refused).toMatch(/^OutOfMemoryError ERR_OUT_OF_MEMORY true .*256\.0 MiB asked for/);
    expect(after).toBe('value Float32Array(3) [ 2, 2, 2 ]');
    expect(summed).toBe('value Float32Array(2) [ 2, 2 ]');
  });

  test('memory that is given back serves again: a loop needs no more than one round of it', async () => {
    const [first] = await run(
      `const x = wl.ones([2 ** 20], { device: 'cuda' });
       for (let i = 0; i < 40; i++) wl.tidy(() => void x.add(1).add(2));
       await told(() => x.slice(0, 0, 1).contiguous());`,
      { CUDASIM_MEMORY: String(32 << 20) },
    );
    expect(first).toBe('value Float32Array(1) [ 1 ]');
  });

  test.each([
    ['pinned memory', 'cuMemHostAlloc:1+:2'],
    ['events', 'cuEventCreate:1+:2'],
  ])('a host out of %s is an error with each copy, however many there are', async (_, CUDASIM_FAIL) => {
    const lines = await run(
      `for (let i = 0; i < 80; i++) await told(() => wl.tensor([i], { device: 'cuda' }));
       await told(() => wl.ones([1], { device: 'cpu' }));`,
      { CUDASIM_FAIL },
    );
    expect(lines.filter((line) => /CUDA_ERROR_OUT_OF_MEMORY/.test(line))).toHaveLength(80);
    expect(lines.at(-1)).toBe('value Float32Array(1) [ 1 ]');
  });

  test('setMemoryLimit holds on a card', async () => {
    const [refused, after] = await run(
      `wl.setMemoryLimit(2 ** 22, 'cuda');
       await told(() => wl.zeros([2 ** 21], { device: 'cuda' }));
       await told(() => wl.ones([1], { device: 'cuda' }));`,
    );
    expect(refused).toMatch(/^OutOfMemoryError .*limit 4\.0 MiB/);
    expect(after).toBe('value Float32Array(1) [ 1 ]');
  });
});

describe('a lost device', () => {
  test.each([
    ['at a launch', 'cuLaunchKernel:2+:700'],
    ['at a copy to the host', 'cuMemcpyDtoHAsync_v2:2+:719'],
  ])('%s is a DeviceLostError with the read, and with every one after it; the CPU goes on', async (_, CUDASIM_FAIL) => {
    const lines = await run(
      `const x = wl.ones([4], { device: 'cuda' });
       await told(() => x.add(1));
       for (let i = 0; i < 3; i++) await told(() => x.add(2));
       await told(() => { x.add(1).dataSync(); });
       await told(() => wl.ones([2], { device: 'cpu' }).add(1));`,
      { CUDASIM_FAIL },
    );
    const lost = lines.filter((line) => /^DeviceLostError ERR_DEVICE_LOST true .*CUDA_ERROR/.test(line));
    expect(lost.length, lines.join('\n')).toBeGreaterThanOrEqual(4);
    expect(lines.at(-1)).toBe('value Float32Array(2) [ 2, 2 ]');
    expect(lost[0]).toContain('Start a new process');
  });

  test('by a kernel that writes out of bounds is one, too', async () => {
    const path = copyOfKernels();
    const file = join(path, 'elementwise.ptx');
    const wild = ' .reg .b64 %wild; mov.u64 %wild, 16; st.global.u32 [%wild], 1;';
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace(/\.entry [^{]*\{/g, (head) => head + wild),
    );
    const { out, err } = await outside(
      `${helpers} addon().setKernelFolder(${JSON.stringify(path)});
       await told(() => wl.ones([4], { device: 'cuda' }).exp());
       await told(() => wl.ones([4], { device: 'cuda' }).clone());
       await told(() => wl.ones([2], { device: 'cpu' }));`,
      { CUDASIM_REPORT: join(path, 'findings') },
    );
    const [first, second, last] = out.split('\n');
    expect(first, err).toMatch(/^DeviceLostError .*CUDA_ERROR_ILLEGAL_ADDRESS/);
    expect(second).toMatch(/^DeviceLostError/);
    expect(last).toBe('value Float32Array(2) [ 1, 1 ]');
  });
});

describe('a driver that cannot be used', () => {
  const auto = `
    await told(() => wl.device('cuda'));
    await told(() => wl.ones([1], { device: 'cuda' }));
    console.log(wl.device('auto').name, wl.ones([1]).device.name, wl.devices().join());
    console.log(inspect().device, inspect().reason);
    await told(() => wl.ones([2]));`;

  const cases: [string, Record<string, string | undefined>, RegExp][] = [
    ['that is too old', { CUDASIM_DRIVER: '11080' }, /too old: it offers CUDA 11\.8, and warploom needs 12\.0/],
    ['that is no library', { WARPLOOM_CUDA_LIBRARY: join(root, 'package.json') }, /package\.json cannot be used/],
    [
      'without its functions',
      { WARPLOOM_CUDA_LIBRARY: join(root, 'build-cmake', 'Release', 'fake_device.so') },
      /fake_device\.so is no usable NVIDIA driver: it lacks cu/,
    ],
    [
      'that is not there',
      { WARPLOOM_CUDA_LIBRARY: '/nowhere/libcuda.so.1' },
      /\/nowhere\/libcuda\.so\.1 cannot be used/,
    ],
    ['without a device', { CUDASIM_FAIL: 'cuInit:1:100' }, /finds no device/],
    ['that does not start', { CUDASIM_FAIL: 'cuInit:1:999' }, /does not start: cuInit: CUDA_ERROR_UNKNOWN/],
    ['that gives no context', { CUDASIM_FAIL: 'cuDevicePrimaryCtxRetain:1+:101' }, /could not be opened: .*CUDA_ERROR/],
  ];
  test.each(cases)(
    "%s: 'cuda' throws CudaDriverError saying why and what to do, 'auto' is the CPU",
    async (_, env, why) => {
      const [opened, made, names, inspected, works] = await run(auto, env);
      expect(opened).toMatch(/^CudaDriverError ERR_CUDA_DRIVER true /);
      expect(opened).toMatch(why);
      expect(opened).toMatch(/R525 or newer.*compute capability 8\.0.*device 'cpu'/);
      expect(made).toMatch(/^CudaDriverError/);
      expect(names).toMatch(/^cpu cpu cpu/);
      expect(inspected).toMatch(/^cpu CUDA is not used: /);
      expect(inspected).toMatch(why);
      expect(works).toBe('value Float32Array(2) [ 1, 1 ]');
    },
  );

  test('the simulator is found by WARPLOOM_CUDA_LIBRARY alone', async () => {
    const [found] = await run('console.log(JSON.stringify(addon().cudaStatus()));', {
      WARPLOOM_CUDA_LIBRARY: undefined,
    });
    expect(JSON.parse(found!)).toMatchObject({ simulated: false });
  });

  test('a CUDA device that is not there is named with those that are', async () => {
    const [missing] = await run(`await told(() => wl.device('cuda:7'));`);
    expect(missing).toMatch(/^CudaDriverError .*'cuda:7'.*Present: cpu, cuda, cuda:1/);
  });
});

describe('device code', () => {
  const withKernels = (change: (path: string) => void) => {
    const path = copyOfKernels();
    change(path);
    return `addon().setKernelFolder(${JSON.stringify(path)});`;
  };

  test('a fatbin that the driver refuses gives way to PTX, and inspect says so', async () => {
    const choose = withKernels((path) => writeFileSync(join(path, 'elementwise.fatbin'), 'no device code'));
    const [value, reason] = await run(
      `${choose} await told(() => wl.tensor([1, 2], { device: 'cuda' }).add(1)); console.log(inspect().reason);`,
      { WARPLOOM_DEVICE: 'cuda' },
    );
    expect(value).toBe('value Float32Array(2) [ 2, 3 ]');
    expect(reason).toMatch(/elementwise: ptx \(.*elementwise\.fatbin: CUDA_ERROR/);
  });

  test('a family that no file gives is a CudaDriverError with the read; other families work', async () => {
    const choose = withKernels((path) => writeFileSync(join(path, 'elementwise.ptx'), '.version 8.0\nnonsense'));
    const lines = await run(
      `${choose} const x = wl.tensor([1, 2], { device: 'cuda' });
       await told(() => x.exp()); await told(() => x.exp()); await told(() => x.transpose(0, 0).clone());`,
    );
    expect(lines[0]).toMatch(/^CudaDriverError ERR_CUDA_DRIVER true .*elementwise.*CUDA_ERROR/);
    expect(lines[1]).toMatch(/^CudaDriverError/);
    expect(lines[2]).toBe('value Float32Array(2) [ 1, 2 ]');
  });

  test('a folder without kernels is said at the read', async () => {
    const [missing] = await run(
      `addon().setKernelFolder(${JSON.stringify(folder())}); await told(() => wl.tensor([1, 2], { device: 'cuda' }).exp());`,
    );
    expect(missing).toMatch(/^CudaDriverError .*elementwise\.ptx: no such file/);
  });
});

test('float64 is refused at the call, with what to do', async () => {
  const lines = await run(
    `const device = 'cuda'; const x = wl.ones([2], { device });
     await told(() => wl.tensor([1, 2], { dtype: 'float64', device }));
     await told(() => wl.tensor(Float64Array.of(1, 2), { device }));
     await told(() => wl.zeros([0], { dtype: 'float64', device }));
     await told(() => wl.randn([2], { dtype: 'float64', device }));
     await told(() => wl.arange(3, { dtype: 'float64', device }));
     await told(() => wl.ones([2], { dtype: 'float64', device: 'cpu' }).to(device));
     await told(() => x.cast('float64'));
     await told(() => x.to('float64'));
     await told(() => x.to({ dtype: 'float64', device: 'cpu' }));`,
  );
  for (const line of lines.slice(0, -1)) {
    expect(line).toMatch(/^NotSupportedError ERR_NOT_SUPPORTED true .*device cuda computes no float64.*float32.*'cpu'/);
  }
  expect(lines.at(-1)).toBe('value Float64Array(2) [ 1, 1 ]');
});
