import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/support/runner.js';

/** The README's programs: its blocks of JavaScript. */
export const readmePrograms = (): string[] =>
  [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```js\n(.*?)```/gs)].map((match) => match[1]!);
