import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../scripts/support/runner.js';
import { allMutants } from '../../scripts/teeth/mutants.js';
import { spoilGradient, spoilKernel } from '../../scripts/teeth/plugin.js';
import { brokenFiles, withBreaks } from '../../scripts/teeth/native.js';

const text = 'for (int i = 0; i < n; ++i) y[i] = x[i];\nfor (int i = 0; i < m; ++i) z[i] = 0;\n';
const broken = (at: string, to: string, number = 1) => ({ number, broken: { name: 'a break', file: 'x.h', at, to } });

test('an expression gets a switch, and so does a statement', () => {
  expect(withBreaks(text, [broken('«i < n»; ++i', 'i < n - 1', 7), broken('++i) «z[i] = 0;»', ';', 8)])).toBe(
    'for (int i = 0; (WL_TEETH(7) ? (i < n - 1) : (i < n)); ++i) y[i] = x[i];\n' +
      'for (int i = 0; i < m; ++i) if (WL_TEETH(8)) { ; } else { z[i] = 0; }\n',
  );
});

test('several breaks of one place stand one in the other', () => {
  expect(withBreaks('y = a + b;', [broken('= «a + b»', 'a'), broken('y = «a + b»;', 'b', 2)])).toBe(
    'y = (WL_TEETH(2) ? (b) : ((WL_TEETH(1) ? (a) : (a + b))));',
  );
});

test('a place that is not there, is there twice, or overlaps another is an error that names the break', () => {
  expect(() => withBreaks(text, [broken('«i < k»', '0')])).toThrow(/x.h, a break: .*not there/);
  expect(() => withBreaks(text, [broken('«i = 0»', '1')])).toThrow(/a break: .*twice/);
  expect(() => withBreaks(text, [broken('«y[i] = x[i]»', '0'), broken('= «x[i]»', '0', 2)])).toThrow(/overlaps/);
});

test('a source that is compiled once is broken for all instruction sets', () => {
  const one = { number: 1, broken: { name: 'a break', file: 'x.cc', at: '«i < n»', to: '0' } };
  expect(withBreaks(text, [one])).toContain('(WL_TEETH_ALL(1) ? (0) : (i < n))');
  expect(withBreaks(`#include "cpu/foreach_isa.h"\n${text}`, [one])).toContain('(WL_TEETH(1) ? (0) : (i < n))');
});

test('every listed break has its place in the sources', () => {
  expect(brokenFiles().size).toBeGreaterThan(0);
});

test('every mutant finds what it breaks', () => {
  const source = (file: string) => readFileSync(join(root, file), 'utf8');
  const [encoders, define] = [source('src/addon.ops.ts'), source('src/autograd/define.ts')];
  for (const { mutant } of allMutants()) {
    if (mutant.kind === 'kernel') {
      expect(spoilKernel(encoders, mutant)).toContain(` ${mutant.op}_spoilt as ${mutant.op}`);
    } else if (mutant.kind === 'gradient') {
      expect(spoilGradient(define, mutant)).toContain('defineOp_genuine');
    } else {
      expect(source(mutant.file)).toContain(mutant.find);
    }
  }
});
