import { expect, test } from 'vitest';
import { withBreaks } from '../../scripts/teeth/native.js';

const text = 'for (int i = 0; i < n; ++i) y[i] = x[i];\nfor (int i = 0; i < m; ++i) z[i] = 0;\n';
const broken = (at: string, to: string, number = 1) => ({ number, broken: { name: 'a break', file: 'x.cc', at, to } });

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
  expect(() => withBreaks(text, [broken('«i < k»', '0')])).toThrow(/x.cc, a break: .*not there/);
  expect(() => withBreaks(text, [broken('«i = 0»', '1')])).toThrow(/a break: .*twice/);
  expect(() => withBreaks(text, [broken('«y[i] = x[i]»', '0'), broken('= «x[i]»', '0', 2)])).toThrow(/overlaps/);
});
