import type { RowSet } from '../columnar/filesummary.ts'
import { ByteWriter, dataView } from '../common/bytes.ts'
import { crc32 } from '../common/crc32.ts'

/*
 * Deletion vectors: which rows of a file no reader may see, as Iceberg (Puffin specification, deletion-vector-v1) and Delta (PROTOCOL.md, Deletion
 * Vector Format) have them. Both hold the same bytes: a 64-bit roaring bitmap in its portable form, behind a magic number.
 *
 *     magic u32 | buckets u64 | bucket …                    of rows with the same upper 32 bits, in their order
 *     bucket: upper 32 bits u32 | 32-bit bitmap
 *     32-bit bitmap: cookie | container's key u16, rows - 1 u16 … | place in the bitmap u32 … | container …
 *     container: of rows with the same bits 16 to 31: array, runs or bits, whichever is the shortest
 *
 * The 32-bit bitmap is that of RoaringFormatSpec: without runs the cookie is 12346 and the number of containers, with runs 12347, the number less one,
 * and a bit for each container that has runs. Integers are little-endian.
 */
const BITMAP_MAGIC = 1681511377
const COOKIE = 12346
const COOKIE_WITH_RUNS = 12347
/** A bitmap with runs and fewer containers has no places. */
const PLACES_MIN = 4
const ARRAY_ROWS_MAX = 4096
const BITS_BYTES = 8192
const CONTAINER_ROWS = 2 ** 16
const BUCKET_ROWS = 2 ** 32

/** Rows of a file with the same bits from 16 on. */
interface Container {
  readonly key: number
  /** First row and number of rows less one, again and again. */
  readonly runs: number[]
  rows: number
}

/** The rows as magic and bitmap: bytes that CRoaring writes for the same values, added one by one, after runOptimize. */
export function encodeBitmap(rows: RowSet): Uint8Array {
  const buckets = bucketsOf(rows)
  const out = new ByteWriter(1024)
  out.u32(BITMAP_MAGIC)
  out.i64(BigInt(buckets.size))
  for (const [upper, containers] of buckets) {
    out.u32(upper)
    writeBitmap32(containers, out)
  }
  return out.take()
}

/** A bitmap as it lies in a file: length and, behind the bitmap, CRC-32, both big-endian. */
export function framedBitmap(bitmap: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(bitmap.length + 8)
  const view = dataView(bytes)
  view.setUint32(0, bitmap.length)
  bytes.set(bitmap, 4)
  view.setUint32(bitmap.length + 4, crc32(bitmap))
  return bytes
}

function bucketsOf({ runs }: RowSet): Map<number, Container[]> {
  const buckets = new Map<number, Container[]>()
  for (const run of runs) {
    const end = run.first + run.count
    for (let first = run.first; first < end;) {
      const start = first % CONTAINER_ROWS
      const count = Math.min(end - first, CONTAINER_ROWS - start)
      const container = containerOf(buckets, first)
      container.runs.push(start, count - 1)
      container.rows += count
      first += count
    }
  }
  return buckets
}

/** The container of a row that is behind all rows that have one. */
function containerOf(buckets: Map<number, Container[]>, row: number): Container {
  const upper = Math.floor(row / BUCKET_ROWS)
  const key = (row % BUCKET_ROWS) >>> 16
  let containers = buckets.get(upper)
  if (containers === undefined) buckets.set(upper, containers = [])
  const last = containers.at(-1)
  if (last?.key === key) return last
  const container: Container = { key, runs: [], rows: 0 }
  containers.push(container)
  return container
}

/** CRoaring's convert_run_optimize: runs only if they are shorter than the other form. */
function hasRuns({ runs, rows }: Container): boolean {
  const runBytes = 2 + runs.length * 2
  return runBytes < (rows <= ARRAY_ROWS_MAX ? 2 + rows * 2 : BITS_BYTES)
}

function sizeOf(container: Container): number {
  if (hasRuns(container)) return 2 + container.runs.length * 2
  return container.rows <= ARRAY_ROWS_MAX ? container.rows * 2 : BITS_BYTES
}

function writeBitmap32(containers: readonly Container[], out: ByteWriter): void {
  const start = out.length
  const withRuns = containers.some(hasRuns)
  if (withRuns) {
    out.u32(COOKIE_WITH_RUNS + (containers.length - 1) * 2 ** 16)
    const flags = new Uint8Array((containers.length + 7) >> 3)
    containers.forEach((container, i) => hasRuns(container) && (flags[i >> 3]! |= 1 << (i & 7)))
    out.copy(flags)
  } else {
    out.u32(COOKIE)
    out.u32(containers.length)
  }
  for (const { key, rows } of containers) {
    out.u16(key)
    out.u16(rows - 1)
  }
  if (!withRuns || containers.length >= PLACES_MIN) {
    let place = out.length - start + containers.length * 4
    for (const container of containers) {
      out.u32(place)
      place += sizeOf(container)
    }
  }
  for (const container of containers) writeContainer(container, out)
}

function writeContainer(container: Container, out: ByteWriter): void {
  const { runs, rows } = container
  if (hasRuns(container)) {
    out.u16(runs.length / 2)
    for (const word of runs) out.u16(word)
  } else if (rows <= ARRAY_ROWS_MAX) {
    for (let i = 0; i < runs.length; i += 2) for (let row = runs[i]!, left = runs[i + 1]!; left >= 0; left--) out.u16(row++)
  } else {
    const bits = new Uint8Array(BITS_BYTES)
    for (let i = 0; i < runs.length; i += 2) for (let row = runs[i]!, left = runs[i + 1]!; left >= 0; left--, row++) bits[row >> 3]! |= 1 << (row & 7)
    out.copy(bits)
  }
}
