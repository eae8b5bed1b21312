/** A run that can be awaited for its history, watched event by event, or both. */
import type { FitEvent, History } from './history.js';

/** What the training loop needs to know of its watchers. */
export interface Watchers {
  /** true while someone iterates: events need not be made otherwise */
  readonly watched: boolean;
  /** true once a watcher left its loop: the run ends after the current step */
  readonly left: boolean;
  /** Hands an event over and waits until every watcher has asked for the next one. */
  emit(event: FitEvent): Promise<void>;
}

/** One `for await` over a run: holds at most one event, and the loop waits until it has been worked on. */
class Watcher implements AsyncIterator<FitEvent> {
  private event: FitEvent | undefined;
  private closed = false;
  private error: { readonly reason: unknown } | undefined;
  private wake: (() => void) | undefined;
  private resume: (() => void) | undefined;
  private working = false;

  constructor(private readonly onLeave: () => void) {}

  /** Resolves when the event has been taken and the watcher is back for the next. */
  offer(event: FitEvent): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.event = event;
    this.wake?.();
    return new Promise((resolve) => {
      this.resume = resolve;
    });
  }

  close(error?: { readonly reason: unknown }): void {
    this.closed = true;
    this.error = error;
    this.wake?.();
    this.resume?.();
  }

  async next(): Promise<IteratorResult<FitEvent, undefined>> {
    if (this.working) {
      this.working = false;
      this.resume?.();
    }
    while (this.event === undefined && !this.closed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (this.event !== undefined) {
      const value = this.event;
      this.event = undefined;
      this.working = true;
      return { done: false, value };
    }
    const failure = this.error;
    this.error = undefined;
    if (failure) throw failure.reason;
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<FitEvent, undefined>> {
    this.event = undefined;
    this.close();
    this.onLeave();
    return Promise.resolve({ done: true, value: undefined });
  }
}

class WatcherSet implements Watchers {
  private readonly all = new Set<Watcher>();
  left = false;
  private ended: { readonly error?: { readonly reason: unknown } } | undefined;

  get watched(): boolean {
    return this.all.size > 0;
  }

  async emit(event: FitEvent): Promise<void> {
    await Promise.all([...this.all].map((watcher) => watcher.offer(event)));
  }

  join(): Watcher {
    const watcher = new Watcher(() => {
      this.all.delete(watcher);
      this.left = true;
    });
    if (this.ended) watcher.close(this.ended.error);
    else this.all.add(watcher);
    return watcher;
  }

  end(error?: { readonly reason: unknown }): void {
    this.ended = error ? { error } : {};
    for (const watcher of this.all) watcher.close(error);
    this.all.clear();
  }
}

/**
 * The result of `fit`: `await` it for the history, or `for await` its step and epoch events; the run waits while the body of such
 * a loop works, so the weights hold still there. Leaving the loop ends the run after the current step.
 */
export class FitRun implements PromiseLike<History>, AsyncIterable<FitEvent> {
  /** Settles when the run has ended. */
  readonly history: Promise<History>;
  readonly #watchers = new WatcherSet();

  /** @param train the loop itself; it starts in the next microtask, so a `for await` in the same tick misses nothing */
  constructor(train: (watchers: Watchers) => Promise<History>) {
    const watchers = this.#watchers;
    this.history = Promise.resolve()
      .then(() => train(watchers))
      .then(
        (history) => {
          watchers.end();
          return history;
        },
        (reason: unknown) => {
          // a watcher's loop throws it; the promise, which nobody may hold, must then not count as unhandled
          if (watchers.watched) this.history.catch(() => undefined);
          watchers.end({ reason });
          throw reason;
        },
      );
  }

  then<A = History, B = never>(
    onFulfilled?: ((history: History) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.history.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<History | B> {
    return this.history.catch(onRejected);
  }

  finally(onSettled?: (() => void) | null): Promise<History> {
    return this.history.finally(onSettled);
  }

  [Symbol.asyncIterator](): AsyncIterator<FitEvent> {
    return this.#watchers.join();
  }
}
