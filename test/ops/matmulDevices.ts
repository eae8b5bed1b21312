/** Matrix products on other devices: the bits of the CPU, whatever kernel the shape leads to. Both sum in one order. */
import { describe, expect, test } from 'vitest';
import { linear, matmul, slice, tensor, type Tensor } from '../../src/index.js';
import { testDevices } from '../harness/surface.js';
import { Random } from '../harness/values.js';

type Shape = readonly number[];
type Run = (...inputs: Tensor[]) => Tensor;

async function bits(device: string, shapes: readonly Shape[], run: Run): Promise<Uint32Array> {
  const random = new Random(7);
  const inputs = shapes.map((shape) => {
    const data = Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, () => random.next() * 2 - 1);
    return tensor(data, { device }).reshape([...shape]);
  });
  const result = await run(...inputs).data('float32');
  return new Uint32Array(result.buffer, result.byteOffset, result.length);
}

const turned = (x: Tensor) => x.transpose(-2, -1);
/** [m, n, k]: beside, below and at the edges of tiles; long, thin and empty sides; more segments of k than one */
const sizes: readonly Shape[] = [
  ...[1, 4, 5, 16, 17, 32, 33, 64, 65, 127, 130].flatMap((s) => [
    [s, 66, 33],
    [66, s, 34],
  ]),
  [31, 33, 4097],
  [4097, 31, 33],
  [33, 4097, 1],
  [4097, 1, 300],
  [1, 4097, 300],
  [1, 1, 5000],
  [40, 36, 0],
  [128, 64, 512],
];

/** Tests of every device under test beside the CPU. */
export function describeDevices(): void {
  describe.each(testDevices().filter((device) => device !== 'cpu'))('matmul on %s', testDevice);
}

function testDevice(device: string): void {
  const same = async (shapes: readonly Shape[], run: Run) => {
    const [expected, actual] = [await bits('cpu', shapes, run), await bits(device, shapes, run)];
    let different = expected.length === actual.length ? 0 : 1;
    expected.forEach((word, i) => (different += word === actual[i] ? 0 : 1));
    expect(different).toBe(0);
  };

  test.each(sizes)('%i x %i over %i, as stored and transposed', async (m, n, k) => {
    await same(
      [
        [m!, k!],
        [k!, n!],
      ],
      (a, b) => matmul(a!, b!),
    );
    await same(
      [
        [m!, k!],
        [n!, k!],
      ],
      (a, b) => matmul(a!, turned(b!)),
    );
    await same(
      [
        [k!, m!],
        [k!, n!],
      ],
      (a, b) => matmul(turned(a!), b!),
    );
    await same(
      [
        [k!, m!],
        [n!, k!],
      ],
      (a, b) => matmul(turned(a!), turned(b!)),
    );
  });

  const product: Run = (a, b) => matmul(a!, b!);
  const batches: readonly (readonly [string, readonly Shape[], Run])[] = [
    [
      'more than 65,535 tiny ones',
      [
        [70000, 2, 2],
        [70000, 2, 2],
      ],
      product,
    ],
    [
      'more than 65,535 rows of a linear layer',
      [
        [66000, 1, 20],
        [20, 4],
      ],
      product,
    ],
    [
      'tiles of 128 x 128',
      [
        [128, 128, 20],
        [128, 20, 128],
      ],
      product,
    ],
    [
      'broadcast both ways',
      [
        [3, 1, 33, 70],
        [4, 70, 40],
      ],
      product,
    ],
    [
      'heads of attention',
      [
        [3, 40, 4, 16],
        [3, 44, 4, 16],
      ],
      (q, k) => matmul(q!.transpose(1, 2), turned(k!.transpose(1, 2))),
    ],
  ];
  test.each(batches)('batches: %s', async (_, shapes, run) => {
    await same(shapes, run);
  });

  const views: readonly (readonly [string, readonly Shape[], Run])[] = [
    [
      'columns repeated by a stride of 0',
      [
        [40, 1],
        [1, 50],
      ],
      (a, b) => matmul(a!.expand([40, 70]), b!.expand([70, 50])),
    ],
    [
      'rows repeated by a stride of 0',
      [
        [1, 70],
        [70, 1],
      ],
      (a, b) => matmul(a!.expand([40, 70]), b!.expand([70, 50])),
    ],
    [
      'an offset that no 16-byte access may have',
      [
        [71, 69],
        [70, 65],
      ],
      (a, b) => matmul(a!.narrow(0, 1, 70).narrow(1, 1, 68), b!.narrow(0, 1, 68).narrow(1, 1, 64)),
    ],
    [
      'an offset by whole vectors',
      [
        [68, 80],
        [70, 72],
      ],
      (a, b) => matmul(turned(a!.narrow(1, 4, 72)), b!.narrow(0, 1, 68).narrow(1, 4, 68)),
    ],
    [
      'steps of two and three',
      [
        [140, 140],
        [70, 260],
      ],
      (a, b) => matmul(slice(slice(a!, 0, 0, 140, 2), 1, 1, 140, 2), slice(b!, 1, 0, 260, 3)),
    ],
  ];
  test.each(views)('views: %s', async (_, shapes, run) => {
    await same(shapes, run);
  });

  test.each([
    [70, 66, 40],
    [70, 68, 300],
    [200, 3, 50],
    [3, 200, 50],
    [130, 16, 700],
  ])('linear with bias and relu, %i x %i over %i', async (m, n, k) => {
    await same([[m, k], [n, k], [n]], (x, w, b) => linear(x!, w!, b, { activation: 'relu' }));
  });
}
