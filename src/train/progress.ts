/** A progress bar on standard error, when that is a terminal; nothing at all otherwise. */
import type { SingleBar } from 'cli-progress';

export interface Progress {
  startEpoch(epoch: number, steps: number, done: number): void;
  /** @param loss asked for at most five times a second, and never waited for */
  step(done: number, loss: () => Promise<number>): void;
  stop(): void;
}

const TICK_MS = 200;

class TerminalProgress implements Progress {
  private last = 0;

  constructor(
    private readonly bar: SingleBar,
    private readonly epochs: number,
  ) {}

  startEpoch(epoch: number, steps: number, done: number): void {
    this.bar.start(steps, done, { epoch, epochs: this.epochs, loss: '-' });
  }

  step(done: number, loss: () => Promise<number>): void {
    const now = performance.now();
    if (now - this.last < TICK_MS) return;
    this.last = now;
    this.bar.update(done);
    loss().then(
      (value) => this.bar.update({ loss: value.toPrecision(4) }),
      // the same failure reaches the training loop through its own read
      () => undefined,
    );
  }

  stop(): void {
    this.bar.stop();
  }
}

const silent: Progress = { startEpoch() {}, step() {}, stop() {} };

/** @param wanted false: never; true or absent: where standard error is a terminal */
export async function openProgress(wanted: boolean | undefined, epochs: number): Promise<Progress> {
  if (wanted === false || !process.stderr.isTTY) return silent;
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar(
    {
      stream: process.stderr,
      format: 'epoch {epoch}/{epochs} [{bar}] {value}/{total} loss {loss} {duration_formatted}',
      hideCursor: true,
      clearOnComplete: true,
    },
    cliProgress.Presets.legacy,
  );
  return new TerminalProgress(bar, epochs);
}
