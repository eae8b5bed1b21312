/** Setup of every test file: one that is named as the test of a family of CUDA kernels has launched kernels of that family. */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { familiesOf } from '../../scripts/mutate/tests.js';

const tests = fileURLToPath(new URL('..', import.meta.url));
const cudaDevices = (process.env['WARPLOOM_TEST_DEVICES'] ?? '').split(',').filter((name) => name.startsWith('cuda'));

interface Task {
  mode: string;
  tasks?: Task[];
}

const leaves = (task: Task): Task[] => (task.tasks ? task.tasks.flatMap(leaves) : [task]);

// The sweep's random samples need not reach every family.
if (cudaDevices.length > 0 && !process.env['WARPLOOM_TEST_SWEEP']) {
  afterAll(async ({}, file) => {
    const name = relative(tests, expect.getState().testPath ?? '').replace(/\.test\.ts$/, '');
    const expected = familiesOf(name);
    // A filter or --bail leaves tests out, and then families, too.
    if (expected.length === 0 || leaves(file as unknown as Task).some((task) => task.mode !== 'run')) return;
    const { addon } = await import('../../src/addon.js');
    const { device } = await import('../../src/index.js');
    for (const cuda of cudaDevices) {
      // A family is loaded by its first launch.
      const loaded = addon()
        .deviceInfo(device(cuda).id)
        .kernels.matchAll(/(?:^|, )(\w+): (?:fatbin|ptx)/g);
      const families = [...loaded].map((match) => match[1]);
      expect(families, `families of kernels that test/${name}.test.ts launched on ${cuda}`).toEqual(
        expect.arrayContaining(expected),
      );
    }
  });
}
