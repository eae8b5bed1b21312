/** Grey pictures as PNG data URIs: the container is four chunks, zlib does the work. Format: https://www.w3.org/TR/png-3/ */
import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.byteLength, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

/**
 * A `data:image/png` URI of an 8-bit grey picture.
 * @param pixels [height, width] row-major values; 0 is black, 1 white, values outside are clamped
 */
export function greyPngUri(pixels: ArrayLike<number>, width: number, height: number): string {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8; // bits a sample; colour type 0 (grey), compression, filter and interlace stay 0
  const rows = Buffer.alloc(height * (width + 1)); // each row starts with its filter type, 0: none
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = Math.min(1, Math.max(0, pixels[y * width + x] ?? 0));
      rows[y * (width + 1) + 1 + x] = Math.round(value * 255);
    }
  }
  const file = Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', new Uint8Array(0)),
  ]);
  return `data:image/png;base64,${file.toString('base64')}`;
}
