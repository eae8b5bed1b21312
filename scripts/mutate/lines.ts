/** Where the barriers and waits of the kernels stand in their sources, read from PTX with line numbers. */

export interface BarrierLine {
  /** name of the .cu or .cuh file */
  readonly file: string;
  readonly line: number;
  /** families whose kernels hold it */
  readonly families: readonly string[];
}

const barrier =
  /^\s*(?:@!?%\w+\s+)?(bar\.|barrier\.|cp\.async\.wait_|cp\.async\.bulk\.wait_|membar\.|fence\.|mbarrier\.(?:test|try)_wait)/;

/**
 * The lines of all barriers in the PTX of each family.
 *
 * @param texts PTX by family
 */
export function barrierLines(texts: ReadonlyMap<string, string>): BarrierLine[] {
  const found = new Map<string, { file: string; line: number; families: Set<string> }>();
  for (const [family, text] of texts) {
    const lines = text.split('\n');
    const files = new Map<string, string>();
    for (const line of lines) {
      const file = /^\s*\.file\s+(\d+)\s+"([^"]+)"/.exec(line);
      if (file) files.set(file[1]!, file[2]!.split('/').at(-1)!);
    }
    let here: { file: string; line: number } | undefined;
    for (const line of lines) {
      const loc = /^\s*\.loc\s+(\d+)\s+(\d+)/.exec(line);
      if (loc) here = { file: files.get(loc[1]!) ?? '', line: Number(loc[2]) };
      if (!barrier.test(line)) continue;
      if (!here?.file) throw new Error(`the PTX of ${family} has no line number for: ${line.trim()}`);
      const key = `${here.file}:${here.line}`;
      const entry = found.get(key) ?? { ...here, families: new Set<string>() };
      entry.families.add(family);
      found.set(key, entry);
    }
  }
  return [...found.values()]
    .map(({ file, line, families }) => ({ file, line, families: [...families].sort() }))
    .sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}
