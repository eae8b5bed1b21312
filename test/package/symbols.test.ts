import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../scripts/support/runner.js';
import { aboveFloor, symbolFloor, symbolVersions } from './symbols.js';

test('the addon needs no newer C or C++ library than Node 20 itself', () => {
  const versions = symbolVersions(join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'warploom.node'));
  expect(Object.keys(versions).sort()).toEqual(['CXXABI', 'GCC', 'GLIBC', 'GLIBCXX']);
  expect(aboveFloor(versions)).toEqual([]);
});

test('versions above the floor are seen', () => {
  expect(aboveFloor({ GLIBC: '2.34', GLIBCXX: '3.4.25', CXXABI: '1.3.9' })).toEqual(['GLIBC_2.34']);
  expect(aboveFloor({ LIBMVEC: '1.0' })).toEqual(['LIBMVEC_1.0']);
});

test('the README states the floor', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  expect(readme).toContain(`glibc ${symbolFloor['GLIBC']}`);
  expect(readme).toContain(`GLIBCXX ${symbolFloor['GLIBCXX']}`);
});
