import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { featuresText } from '../../scripts/surface.js';
import { closing, sumTotals } from '../../scripts/support/runner.js';
import { readSurface, root } from '../harness/surface.js';

const pack = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, never> & {
  scripts: Record<string, string>;
};

test('package.json has the promised scripts', () => {
  for (const name of [
    'build',
    'build:test',
    'digits',
    'test',
    'check',
    'test:sweep',
    'test:teeth',
    'surface',
    'cudasim',
    'bench',
    'show',
  ]) {
    expect(pack.scripts, name).toHaveProperty([name]);
  }
});

test('the package is ESM, runs nothing at install, and needs Node 20.19', () => {
  expect(pack).toMatchObject({
    name: 'warploom',
    type: 'module',
    gypfile: false,
    license: 'MIT',
    engines: { node: '>=20.19' },
  });
  for (const hook of ['install', 'preinstall', 'postinstall', 'prepare']) expect(pack.scripts).not.toHaveProperty(hook);
  expect(pack).toMatchObject({
    bin: { warploom: './dist/cli/main.js' },
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
  });
});

test('runners close with one line of totals', () => {
  expect(closing({ passed: 3, failed: 0, skipped: 1 })).toBe('3 passed, 0 failed, 1 skipped');
  expect(sumTotals('a\n2 passed, 1 failed, 0 skipped\nb\n3 passed, 0 failed, 4 skipped\n')).toEqual({
    passed: 5,
    failed: 1,
    skipped: 4,
  });
});

test('.ci/run installs, tests and checks, in that order', () => {
  const text = readFileSync(join(root, '.ci', 'run'), 'utf8');
  const order = ['npm ci', 'npm test', 'npm run check'].map((step) => text.indexOf(step));
  expect(order.every((at) => at > 0)).toBe(true);
  expect([...order].sort((a, b) => a - b)).toEqual(order);
});

test('FEATURES.md is what npm run surface writes', () => {
  expect(readFileSync(join(root, 'FEATURES.md'), 'utf8')).toBe(featuresText(readSurface()));
});
