/**
 * Files that are either the old one or the whole new one, whenever the process or the machine dies: the bytes go to a
 * temporary neighbour, are synced, renamed over the target, and the folder's entry is synced too.
 */
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const TEMPORARY = /^\.(.+)\.(\d+)-(\d+)\.tmp$/;
let serial = 0;

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes every chunk in full: one write call may take less than it was given. */
async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  let at = 0;
  while (at < chunk.byteLength) {
    const { bytesWritten } = await handle.write(chunk, at, chunk.byteLength - at);
    at += bytesWritten;
  }
}

/**
 * Replaces `path` by the given bytes, atomically and durably.
 * @param content the chunks in order; an async iterable is drained one chunk at a time, so a large file is never whole in memory
 * @throws the system's error (ENOENT, ENOSPC, ...); the old file is then untouched and the temporary one removed
 */
export async function writeAtomic(
  path: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${serial++}.tmp`);
  try {
    const handle = await open(temporary, 'wx');
    try {
      for await (const chunk of content) await writeAll(handle, chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, under another user
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes what writers that were killed left behind in `folder`; a living process's temporary files stay. */
export async function removeStaleTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const match = TEMPORARY.exec(name);
    if (match && !alive(Number(match[2]))) await rm(join(folder, name), { force: true });
  }
}
