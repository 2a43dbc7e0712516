import * as v from 'valibot'
import { CorruptionError } from '../common/errors.ts'
import { equalJson } from '../common/equaljson.ts'
import { count, faulty, integer, type Persisted, text, unsigned32, validate } from '../common/validate.ts'
import { utf8Encode } from '../common/utf8.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import { newVector, type ColumnType } from '../vector/columntype.ts'
import { appendRows } from '../vector/copyrows.ts'
import { BitVector, BytesVector, type Vector, WordVector } from '../vector/vector.ts'
import { objectKey } from './state/page.ts'
import type { LogName } from './publishedentry.ts'

/*
 * Tables that ltap adds rows to at each publication, and whose files it writes for them alone: no row of one is ever changed or removed. Many files become
 * few (logmergeplan.ts).
 */

/** A data file of a log. */
export interface LogFile {
  readonly key: string
  readonly bytes: number
  readonly rows: number
  /** CRC-32C of the whole object. */
  readonly crc: number
}

/** What the next publication of a log goes on from. */
export interface LogRecord {
  readonly files: readonly LogFile[]
  /** `transactions`: key of the last entry of the tree whose transactions are in the files. */
  readonly upto?: string
  /** `schemas`: by `<database>/<oid>`, what the last rows of a table were made from, in short. */
  readonly shapes?: Readonly<Record<string, ShapeOf>>
}

export interface ShapeOf {
  readonly hash: string
  /** Names in the last rows: those that say that the table is gone need them. */
  readonly names: readonly [database: string, schema: string, table: string]
}

const RECORD = v.strictObject({
  files: v.array(v.strictObject({ key: objectKey, bytes: integer(1, Number.MAX_SAFE_INTEGER), rows: count, crc: unsigned32 })),
  upto: v.exactOptional(text),
  shapes: v.exactOptional(v.record(v.string(), v.strictObject({ hash: text, names: v.strictTuple([text, text, text]) }))),
})

/** @throws CorruptionError of `persisted.code` with the member */
export function parseLogRecord(found: unknown, persisted: Persisted, at: string): LogRecord {
  const record = validate(RECORD, found, persisted, at)
  const keys = new Set<string>()
  for (const [i, { key }] of record.files.entries()) {
    if (keys.has(key)) throw faulty(persisted, `${at}.files[${i}].key`, `is ${key}, as that of another file`)
    keys.add(key)
  }
  return record
}

/** A value of a log's column; time in microseconds since 1970, and an LSN as the number that it is. */
export type LogValue = number | string | boolean | null

const LONG: ColumnType = { kind: 'long' }
const INT: ColumnType = { kind: 'int' }
const STRING: ColumnType = { kind: 'string' }
const TIME: ColumnType = { kind: 'timestamp', utc: true }

/** Columns of the logs; field ids are their places. LSNs are numbers, as `_ltap.page_lsn`: 16/B374D848 is 0x16B374D848. */
const COLUMNS: Record<LogName, readonly (readonly [name: string, type: ColumnType])[]> = {
  transactions: [
    ['xid', LONG], ['top_xid', LONG], ['status', STRING], ['commit_lsn', LONG], ['commit_time', TIME], ['lsn_after', LONG], ['lsn_upto', LONG],
    ['timeline', LONG],
  ],
  schemas: [
    ['lsn', LONG], ['time', TIME], ['timeline', LONG], ['database', STRING], ['schema', STRING], ['table', STRING], ['oid', LONG],
    ['exists', { kind: 'boolean' }], ['attnum', INT], ['column', STRING], ['type', STRING], ['field_id', LONG], ['parquet_column', STRING],
  ],
}

export function logFields(name: LogName): LakeField[] {
  return COLUMNS[name].map(([column, type], i): LakeField => ({ name: column, id: i + 1, type }))
}

/**
 * One file with the rows of several, in their order. All rows are in memory.
 * @param files each with what messages call it @throws CorruptionError lake.log for a file with other columns or another number of rows
 */
export async function mergeLogFiles(
  name: LogName, files: AsyncIterable<{ readonly key: string; readonly rows: number; readonly content: Uint8Array }>,
): Promise<{ bytes: Uint8Array; rows: number }> {
  const [{ encodeParquet }, { readParquet }] = await Promise.all([import('../parquet/parquetwriter.ts'), import('../parquet/parquetreader.ts')])
  const fields = logFields(name)
  const columns = fields.map(({ type }) => newVector(type))
  let length = 0
  for await (const { key, rows, content } of files) {
    const reader = readParquet(content)
    if (!equalJson(reader.fields, fields)) throw new CorruptionError('lake.log', `${key} has other columns than ltap.${name}`, { file: key })
    if (reader.rows !== rows) throw new CorruptionError('lake.log', `${key} has ${reader.rows} rows, the lake says ${rows}`, { file: key })
    for (let group = 0; group < reader.rowGroups; group++) {
      const read = reader.readRowGroup(group)
      for (const [i, vector] of columns.entries()) appendRows(vector, read.columns[i]!, 0, read.rows)
      length += read.rows
    }
  }
  return { bytes: encodeParquet(fields, { compression: 'zstd', metadata: {} }, [{ columns, rows: length }]), rows: length }
}

/** A Parquet file. @param rows of values in the order of the columns, at least one */
export async function encodeLogFile(name: LogName, rows: Iterable<readonly LogValue[]>): Promise<{ bytes: Uint8Array; rows: number }> {
  // Arrow and parquet-wasm are loaded when they are needed.
  const { encodeParquet } = await import('../parquet/parquetwriter.ts')
  const fields = logFields(name)
  const columns = fields.map(({ type }) => newVector(type))
  let length = 0
  for (const row of rows) {
    for (const [i, vector] of columns.entries()) push(vector, row[i]!)
    length++
  }
  return { bytes: encodeParquet(fields, { compression: 'zstd', metadata: {} }, [{ columns, rows: length }]), rows: length }
}

function push(vector: Vector, value: LogValue): void {
  if (value === null) vector.pushNull()
  else if (vector instanceof BytesVector) vector.push(utf8Encode(String(value)))
  else if (vector instanceof BitVector) vector.push(value === true)
  else if (vector instanceof WordVector && vector.wordsPerValue === 2) {
    const wide = BigInt(value)
    vector.push2(Number(BigInt.asIntN(32, wide)), Number(BigInt.asIntN(32, wide >> 32n)))
  } else (vector as WordVector).push1(Number(value))
}
