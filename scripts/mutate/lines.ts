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

interface Place {
  /** path, as the PTX has it */
  readonly path: string;
  readonly line: number;
  /** where this was called, when it is a function that the compiler put in there */
  readonly caller: Place | undefined;
}

/** The toolkit's own headers (`__syncwarp`, for one): their lines count as those that call them, as in the simulator. */
const isForeign = (path: string) => path.includes('/include/');

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
      if (file) files.set(file[1]!, file[2]!);
    }
    const places = new Map<string, Place>();
    let here: Place | undefined;
    for (const line of lines) {
      const loc = /^\s*\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at (\d+) (\d+))?/.exec(line);
      if (loc) {
        const caller = loc[3] === undefined ? undefined : places.get(`${loc[3]}:${loc[4]}`);
        here = { path: files.get(loc[1]!) ?? '', line: Number(loc[2]), caller };
        places.set(`${loc[1]}:${loc[2]}`, here);
      }
      if (!barrier.test(line)) continue;
      let at = here;
      while (at?.caller && isForeign(at.path)) at = at.caller;
      if (!at?.path) throw new Error(`the PTX of ${family} has no line number for: ${line.trim()}`);
      const place = { file: at.path.split('/').at(-1)!, line: at.line };
      const key = `${place.file}:${place.line}`;
      const entry = found.get(key) ?? { ...place, families: new Set<string>() };
      entry.families.add(family);
      found.set(key, entry);
    }
  }
  return [...found.values()]
    .map(({ file, line, families }) => ({ file, line, families: [...families].sort() }))
    .sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}
