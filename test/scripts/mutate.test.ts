/** Which lines `npm run test:mutate` skips: read from PTX. */
import { expect, test } from 'vitest';
import { barrierLines } from '../../scripts/mutate/lines.js';

test('a barrier of a header of the toolkit counts as the line that calls it', () => {
  const ptx = `
	.loc	1 20 3
	bar.sync 	0;
	.loc	1 30 5, function_name $L__info_string0, inlined_at 1 90 1
	.loc	2 110 3, function_name $L__info_string1, inlined_at 1 30 5
	bar.warp.sync 	-1;
	.loc	3 7 5, function_name $L__info_string0, inlined_at 1 90 1
	@%p1 bar.sync 	0;
	.file	1 "checkout/native/cuda/kernels/one.cu"
	.file	2 "toolkit/include/sm_30_intrinsics.hpp"
	.file	3 "checkout/native/cuda/kernels/shared.cuh"
`;
  expect(barrierLines(new Map([['one', ptx]]))).toEqual([
    { file: 'one.cu', line: 20, families: ['one'] },
    { file: 'one.cu', line: 30, families: ['one'] },
    { file: 'shared.cuh', line: 7, families: ['one'] },
  ]);
});
