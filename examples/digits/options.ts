/** The command line of the digits example. */
import { parseArgs } from 'node:util';

export const USAGE = `usage: npm run digits -- [OPTION...]

  --device auto|cpu|cuda   where to train (default auto)
  --seed N                 of split, initial weights, dropout and order (default 0)
  --epochs N               at most this many (default 8)
  --out FOLDER             for weights, report, history, checkpoints (default runs/digits)
  --resume                 continue from the newest checkpoint in FOLDER
  --eager, --capture       run each step from JavaScript, or record it once and replay it; the weights are the same
  --help                   this text
`;

export interface DigitsOptions {
  device: string;
  seed: number;
  epochs: number;
  out: string;
  resume: boolean;
  capture: boolean;
}

/** A command line that cannot be understood. */
export class UsageError extends Error {}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > 0xffff_ffff) {
    throw new UsageError(`--${name} takes a whole number from ${least}, not '${text}'`);
  }
  return value;
}

/**
 * @returns null when help was asked for
 * @throws UsageError saying which option is wrong and what it takes
 */
export function parseOptions(args: readonly string[]): DigitsOptions | null {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        device: { type: 'string', default: 'auto' },
        seed: { type: 'string', default: '0' },
        epochs: { type: 'string', default: '8' },
        out: { type: 'string', default: 'runs/digits' },
        resume: { type: 'boolean', default: false },
        eager: { type: 'boolean', default: false },
        capture: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return null;
  const { device, out, resume, eager, capture } = values;
  if (!/^(auto|cpu|cuda(:\d+)?)$/.test(device))
    throw new UsageError(`--device takes auto, cpu or cuda, not '${device}'`);
  if (out === '') throw new UsageError('--out takes the name of a folder');
  if (eager && capture) throw new UsageError('--eager and --capture exclude each other');
  return {
    device,
    seed: wholeNumber('seed', values.seed, 0),
    epochs: wholeNumber('epochs', values.epochs, 1),
    out,
    resume,
    capture: !eager,
  };
}
