import { ByteReader, writeVarint } from '../../common/bytereader.ts'
import { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError, UnsupportedError } from '../../common/errors.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { faulty, type Persisted } from '../../common/validate.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import { ZSTD } from '../../parquet/zstdcompressor.ts'

/*
 * JSON of a state, as an object or a page of one has it: as it is, from `{` on, or compressed:
 *
 *   "ltst" | bytes of the JSON, varint | name of the compressor: length, varint, and ASCII | what it made
 */
const MAGIC = utf8Encode('ltst')

/** @param max bytes of JSON that a reader takes: more is not written, and refused before memory is taken for it */
export function encodeStateText(json: string, compressor: Compressor | undefined): Uint8Array {
  const text = utf8Encode(json)
  if (compressor === undefined || compressor.name === 'none') return text
  const compressed = compressor.compress(text)
  const out = new ByteWriter(compressed.length + 64)
  out.copy(MAGIC)
  writeVarint(text.length, out)
  writeVarint(compressor.name.length, out)
  out.ascii(compressor.name)
  out.copy(compressed)
  return out.length < text.length ? out.take() : text
}

/**
 * The JSON.
 * @param max more bytes than this are refused before memory is taken for them
 * @param compressor of the lake, for what zstd did not make
 * @throws CorruptionError of `persisted.code`; UnsupportedError lake.compressor
 */
export function decodeStateText(bytes: Uint8Array, persisted: Persisted, max: number, compressor?: Compressor): Uint8Array {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    if (bytes.length > max) throw faulty(persisted, '', `has ${bytes.length} bytes, and at most ${max} are written`)
    return bytes
  }
  const reader = new ByteReader(bytes.subarray(MAGIC.length), persisted)
  const size = reader.varint(Number.MAX_SAFE_INTEGER)
  if (size > max) throw faulty(persisted, '', `has ${size} bytes, and at most ${max} are written`)
  const name = reader.text()
  const from = [ZSTD, compressor].find((known) => known !== undefined && familyOf(known.name) === familyOf(name))
  if (from === undefined) {
    const own = compressor ? ` and ${compressor.name}` : ''
    throw new UnsupportedError('lake.compressor', `${persisted.name} is compressed with ${name}; this ltap reads zstd${own}`)
  }
  try {
    return from.decompress(bytes.subarray(bytes.length - reader.left), size)
  } catch (error) {
    throw error instanceof CorruptionError ? faulty(persisted, '', `does not decompress: ${error.message}`) : error
  }
}

/** `zstd:node` reads what `zstd:wasm` made. */
function familyOf(name: string): string {
  return name.split(':')[0]!
}
