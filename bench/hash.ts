import { crc32c } from '../src/common/crc32c.ts'
import { utf8Encode } from '../src/common/utf8.ts'
import { BitVector, BytesVector, ListVector, StructVector, type Vector, WordVector } from '../src/vector/vector.ts'

/** Equal results of two runs print the same eight digits. */
export function textHash(text: string): string {
  return digits(crc32c(utf8Encode(text)))
}

function digits(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}

/** A hash over pieces, in order: equal results of two runs print the same eight digits. */
export class ResultHash {
  private readonly crcs: number[] = []

  add(bytes: Uint8Array): void {
    this.crcs.push(crc32c(bytes))
  }

  /** A Parquet file but for its footer, which names the cluster and its checkpoint: those change with every start of a server. */
  addParquet(file: Uint8Array): void {
    const tail = file.length - 8
    this.add(file.subarray(0, tail - new DataView(file.buffer, file.byteOffset).getUint32(tail, true)))
  }

  /** All values of a column; what lies under nulls does not count as long as decoders leave it zero. */
  addVector(vector: Vector): void {
    const { length } = vector
    this.add(vector.validity.subarray(0, (length + 7) >> 3))
    if (vector instanceof WordVector) this.addView(vector.words.subarray(0, length * vector.wordsPerValue))
    else if (vector instanceof BitVector) this.add(vector.bits.subarray(0, (length + 7) >> 3))
    else if (vector instanceof StructVector) for (const child of vector.children) this.addVector(child)
    else if (vector instanceof BytesVector || vector instanceof ListVector) this.addView(vector.offsets.subarray(0, length + 1))
    if (vector instanceof BytesVector) this.add(vector.data.bytes.subarray(0, vector.data.length))
    if (vector instanceof ListVector) this.addVector(vector.child)
  }

  private addView(words: Int32Array): void {
    this.add(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))
  }

  digest(): string {
    return digits(crc32c(new Uint8Array(Uint32Array.from(this.crcs).buffer)))
  }
}
