/** How `npm run cudasim` chooses among the kernels of a module, and reads their parameters. */
import { expect, test } from 'vitest';
import { chooseKernel, declaredParameters, kernelsOf, signature, type Kernel } from '../../scripts/cudasim/kernels.js';

const kernel = (name: string): Kernel => ({ name, parameters: [] });
const chosen = (wanted: string | undefined, ...names: string[]): string => chooseKernel(names.map(kernel), wanted).name;

test('a kernel is chosen by its name, or by the plain part of a C++ name', () => {
  expect(chosen(undefined, 'only')).toBe('only');
  expect(chosen('scale', 'scale', '_Z5scalePf')).toBe('scale');
  expect(chosen('scale', '_Z5scalePf', '_Z9downscalePf')).toBe('_Z5scalePf');
  expect(chosen('scale', '_ZN2nn5scaleIfEEvPT_', 'other')).toBe('_ZN2nn5scaleIfEEvPT_');
  // 15 is the length of another name, not a 1 before a 5.
  expect(() => chosen('scale', '_Z15scaleRowsByHalfPf')).toThrow(/there is no kernel 'scale'/);
  expect(() => chosen('scale', '_Z5scaleIfEvPT_', '_Z5scaleIdEvPT_', 'other')).toThrow(
    /^'scale' could be any of several kernels; the module has\n {2}_Z5scaleIfEvPT_\(\)\n {2}_Z5scaleIdEvPT_\(\)$/,
  );
  expect(() => chosen('sca.e', '_Z5scalePf')).toThrow(/there is no kernel/);
  expect(() => chosen(undefined, 'a', 'b')).toThrow(/2 kernels/);
});

test('parameters are read from the text of any entry', () => {
  const ptx = `
.visible .entry _Z5scalePf3Box(
	.param .u64 .ptr .align 1 _Z5scalePf3Box_param_0,
	.param .align 8 .b8 _Z5scalePf3Box_param_1[24] // .param .u32 not_one
)
{ }
/* .entry gone(.param .u32 x) */
.entry bare
{ }
.entry empty()
{ }`;
  expect([...declaredParameters(ptx).keys()]).toEqual(['_Z5scalePf3Box', 'bare', 'empty']);
  const lines = [['kernel', '_Z5scalePf3Box', '8,24'], ['kernel', 'bare', ''], ['done']];
  const kernels = kernelsOf(lines, ptx);
  expect(kernels.map(signature)).toEqual(['_Z5scalePf3Box(.u64 .ptr .align 1, .align 8 .b8[24])', 'bare()']);
  expect(kernels[0]!.parameters.map(({ size, type }) => [size, type])).toEqual([
    [8, '.u64'],
    [24, '.b8'],
  ]);
});
