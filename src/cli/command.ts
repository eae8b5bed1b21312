/** The `warploom` command, apart from the process it runs in. */
import { parseArgs } from 'node:util';
import { inspect, inspectText } from './inspect.js';

const HELP = `usage: warploom COMMAND [OPTION...]

commands
  inspect [--json]   the device that programs get by default, why, and what it has
  help               this text

variables: WARPLOOM_DEVICE, WARPLOOM_THREADS, WARPLOOM_ISA
`;

/** Runs the command line and gives the exit code: 0 done, 1 failed, 2 not understood. */
export function main(args: readonly string[], out: NodeJS.WritableStream, err: NodeJS.WritableStream): number {
  const [command = 'help', ...rest] = args;
  try {
    switch (command) {
      case 'help':
      case '--help':
      case '-h':
        out.write(HELP);
        return 0;
      case 'inspect': {
        const { values } = parseArgs({ args: rest, options: { json: { type: 'boolean', default: false } } });
        const report = inspect();
        out.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : inspectText(report));
        return 0;
      }
      default:
        err.write(`warploom: there is no command '${command}'\n\n${HELP}`);
        return 2;
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    err.write(`warploom ${command}: ${message}\n`);
    return code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
  }
}
