/** A line of the CPU back end broken on purpose. */
export interface Break {
  readonly name: string;
  /** in native/cpu */
  readonly file: string;
  /** a text that stands once in the file; what is broken stands between « and » */
  readonly at: string;
  /** what stands there instead: an expression, or statements where statements were */
  readonly to: string;
  /** the instruction sets whose code it breaks, where not all have it */
  readonly isas?: readonly Isa[];
}

export const isas = ['baseline', 'avx2', 'avx512'] as const;
export type Isa = (typeof isas)[number];

/** Breaks and the tests that must notice them: native ones first, the op's where those pass. */
export interface Family {
  readonly native: readonly string[];
  readonly files: readonly string[];
  readonly breaks: readonly Break[];
}
