/** `npm run cudasim -- FILE ...`: one kernel in the CUDA simulator. Builds what is missing; `--help` says the rest. */
import { ensureSimulator } from './build.js';
import { main } from './cudasim/command.js';

const args = process.argv.slice(2);
if (!args.some((arg) => arg === '--help' || arg === '-h')) ensureSimulator();
process.exitCode = await main(args, process.stdout, process.stderr);
