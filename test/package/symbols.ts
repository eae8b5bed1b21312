import { execFileSync } from 'node:child_process';

/**
 * The oldest C and C++ libraries that the addon may ask for: those that Node 20's own binary needs, so that where Node starts the
 * addon loads. The README states them.
 */
export const symbolFloor: Readonly<Record<string, string>> = {
  GLIBC: '2.28',
  GLIBCXX: '3.4.25',
  CXXABI: '1.3.11',
  GCC: '7.0.0',
};

function newer(a: string, b: string): boolean {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  }
  return false;
}

/** The highest version that a shared library needs of each family of symbol versions. */
export function symbolVersions(file: string): Record<string, string> {
  const text = execFileSync('readelf', ['--version-info', '--wide', file], { encoding: 'utf8' });
  const highest: Record<string, string> = {};
  for (const [, family, version] of text.matchAll(/Name: ([A-Z]+)_([\d.]+)\s+Flags/g)) {
    if (highest[family!] === undefined || newer(version!, highest[family!]!)) highest[family!] = version!;
  }
  return highest;
}

/** What a library needs above the floor; a family that the floor does not name counts. */
export function aboveFloor(versions: Readonly<Record<string, string>>): string[] {
  return Object.entries(versions)
    .filter(([family, version]) => symbolFloor[family] === undefined || newer(version, symbolFloor[family]))
    .map(([family, version]) => `${family}_${version}`);
}
