/**
 * Breaks one op on purpose while tests run, in memory: WARPLOOM_TEETH names a mutant as JSON, and the modules concerned are
 * rewritten as the test runner loads them. No file changes and nothing is rebuilt.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `kernel`: an output of a native op is spoilt after the kernel ran. `gradient`: a rule of an op is. `text`: a line of a module. */
export type Mutant =
  | { readonly kind: 'kernel'; readonly op: string; readonly how: 'negate' | 'shift' | 'tail' | 'skip' }
  | {
      readonly kind: 'gradient';
      readonly op: string;
      readonly rule: 'grad' | 'backward';
      readonly how: 'negate' | 'double';
    }
  | { readonly kind: 'text'; readonly file: string; readonly find: string; readonly replace: string };

interface Plugin {
  name: string;
  enforce: 'pre';
  transform(code: string, id: string): string | undefined;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

export function teethPlugin(): Plugin {
  const text = process.env['WARPLOOM_TEETH'];
  const mutant = text ? (JSON.parse(text) as Mutant) : undefined;
  return {
    name: 'teeth',
    enforce: 'pre',
    transform(code, id) {
      if (!mutant) return undefined;
      if (mutant.kind === 'kernel' && id === join(root, 'src', 'addon.ops.ts')) return spoilKernel(code, mutant);
      if (mutant.kind === 'gradient' && id === join(root, 'src', 'autograd', 'define.ts'))
        return spoilGradient(code, mutant);
      if (mutant.kind === 'text' && id === join(root, mutant.file)) {
        if (!code.includes(mutant.find)) throw new Error(`${mutant.file} does not contain ${mutant.find}`);
        writeFileSync(markFile, 'reached');
        return code.replace(mutant.find, () => mutant.replace);
      }
      return undefined;
    },
  };
}

/** Leaves a mark when a mutant is reached: one that never is proves nothing. */
const markFile = process.env['WARPLOOM_TEETH_MARK'] ?? '';
const marking = `\nimport { writeFileSync as markReached } from 'node:fs';\nconst reached = () => markReached(${JSON.stringify(markFile)}, 'reached');\n`;

const saboteur = join(root, 'scripts', 'teeth', 'sabotage.ts');

/** Exports, in place of the generated encoder of an op, one that spoils the first output. */
export function spoilKernel(code: string, { op, how }: Extract<Mutant, { kind: 'kernel' }>): string {
  const signature = new RegExp(`^function ${op}_\\(device: Device, (.*)\\): .* \\{$`, 'm').exec(code);
  const exported = ` ${op}_ as ${op}`;
  if (!signature || !code.includes(exported)) throw new Error(`addon.ops.ts has no op ${op}`);
  const parameters = signature[1]!.split(', ').map((p) => p.split(': ') as [string, string]);
  const outputs = parameters.flatMap(([name, type], index) => (type.includes('OutSpec') ? [{ name, index }] : []));
  const several = outputs.length > 1;
  return (
    code.replace(exported, ` ${op}_spoilt as ${op}`) +
    marking +
    `\nimport { sabotage } from ${JSON.stringify(saboteur)};\n` +
    `const kit = () => ({ neg: neg_, copy: copy_, fill: fill_, logicalNot: logicalNot_ });\n` +
    `function ${op}_spoilt(device: Device, ...args: any[]): any {\n` +
    `  reached();\n  return sabotage(${JSON.stringify(how)}, kit(), device, ${op}_, args, ${JSON.stringify(outputs)}, ${several});\n}\n`
  );
}

/** Wraps defineOp: the rule of one op returns its first gradient spoilt. */
export function spoilGradient(code: string, { op, rule, how }: Extract<Mutant, { kind: 'gradient' }>): string {
  const declared = /export function defineOp(<[^(]*)\(/;
  if (!declared.test(code)) throw new Error('define.ts has no function defineOp');
  return (
    code.replace(declared, 'function defineOp_genuine$1(') +
    marking +
    `\nexport function defineOp(definition: any): any {\n` +
    `  if (definition.name !== ${JSON.stringify(op)} || !definition.${rule}) return defineOp_genuine(definition);\n` +
    `  return defineOp_genuine({ ...definition, ${rule}(...args: any[]) {\n` +
    `    reached();\n    return definition.${rule}(...args).map((g: any) => (g ? g.${how === 'negate' ? 'neg()' : 'mul(2)'} : g));\n` +
    `  } });\n}\n`
  );
}
