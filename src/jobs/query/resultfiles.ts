import type { DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { utf8Encode } from '../../common/utf8.ts'
import type { ResultFile } from '../../io/results/resultplace.ts'
import { ParquetEncoder } from '../../parquet/parquetwriter.ts'
import { newVector } from '../../vector/columntype.ts'
import type { Vector } from '../../vector/vector.ts'
import { valueText } from './duckvalue.ts'
import type { Duck } from './openquery.ts'
import { type ResultColumn, resultColumns } from './resultcolumns.ts'
import { type Cells, csvFormat, jsonFormat } from './tabletext.ts'

export type ResultFormat = 'parquet' | 'csv' | 'json'

/** Rows that are not written yet. */
export interface RowBuffer {
  readonly rows: number
  /** About how much memory they take. */
  readonly bytes: number
  push(values: readonly DuckDBValue[]): void
}

/** A file that is written. */
export interface RowFile<Buffer extends RowBuffer> {
  /** Bytes so far. */
  readonly bytes: number
  add(buffer: Buffer): Promise<void>
  finish(): Promise<void>
  abort(): Promise<void>
}

/** How files of a format are made. */
export interface RowFiles<Buffer extends RowBuffer> {
  readonly extension: ResultFormat
  buffer(): Buffer
  open(file: ResultFile): RowFile<Buffer>
}

/** @param names of the columns that the files have @throws UnsupportedError query.type */
export function rowFiles(format: ResultFormat, duck: Duck, names: readonly string[], types: readonly DuckDBType[]): RowFiles<RowBuffer> {
  return format === 'parquet' ? parquetFiles(resultColumns(duck, names, types)) : textFiles(format, names, types.map((type) => valueText(duck, type)[format]))
}

export function parquetFiles(columns: readonly ResultColumn[]): RowFiles<RowBuffer> {
  return new ParquetFiles(columns) as RowFiles<RowBuffer>
}

/** @param texts of a value, undefined for NULL; those of JSON never are */
export function textFiles(
  format: 'csv' | 'json', names: readonly string[], texts: readonly ((value: DuckDBValue) => string | undefined)[],
): RowFiles<RowBuffer> {
  return new TextFiles(format, names, texts) as RowFiles<RowBuffer>
}

/** What empty vectors of a column take. */
const COLUMN_BYTES = 1500

class ParquetRows implements RowBuffer {
  rows = 0
  bytes: number
  readonly vectors: readonly Vector[]
  private readonly columns: readonly ResultColumn[]

  constructor(columns: readonly ResultColumn[]) {
    this.columns = columns
    this.bytes = columns.length * COLUMN_BYTES
    this.vectors = columns.map(({ field }) => newVector(field.type))
  }

  push(values: readonly DuckDBValue[]): void {
    for (const [i, vector] of this.vectors.entries()) this.bytes += this.columns[i]!.push(values[i]!, vector)
    this.rows++
  }
}

class ParquetFiles implements RowFiles<ParquetRows> {
  readonly extension = 'parquet'
  private readonly columns: readonly ResultColumn[]

  constructor(columns: readonly ResultColumn[]) {
    this.columns = columns
  }

  buffer(): ParquetRows {
    return new ParquetRows(this.columns)
  }

  open(file: ResultFile): RowFile<ParquetRows> {
    const opened = new CountedFile(file)
    const encoder = new ParquetEncoder(this.columns.map(({ field }) => field), { compression: 'zstd', metadata: {} }, (bytes) => opened.write(bytes))
    return {
      get bytes() { return opened.bytes },
      add: (buffer) => encoder.rowGroup(buffer.vectors, buffer.rows),
      finish: async () => {
        await encoder.finish()
        await file.finish()
      },
      abort: async () => {
        await encoder.abort()
        await file.abort()
      },
    }
  }
}

class TextRows implements RowBuffer {
  readonly cells: Cells[] = []
  bytes = 200
  private readonly texts: readonly ((value: DuckDBValue) => string | undefined)[]

  constructor(texts: TextRows['texts']) {
    this.texts = texts
  }

  get rows(): number {
    return this.cells.length
  }

  push(values: readonly DuckDBValue[]): void {
    const cells = this.texts.map((text, i) => text(values[i]!))
    this.cells.push(cells)
    for (const cell of cells) this.bytes += 24 + 2 * (cell?.length ?? 0)
  }
}

/** Rows that are one piece of text. */
const ROWS_AT_ONCE = 1000

class TextFiles implements RowFiles<TextRows> {
  readonly extension: 'csv' | 'json'
  private readonly names: readonly string[]
  private readonly texts: TextRows['texts']

  constructor(format: 'csv' | 'json', names: readonly string[], texts: TextRows['texts']) {
    this.extension = format
    this.names = names
    this.texts = texts
  }

  buffer(): TextRows {
    return new TextRows(this.texts)
  }

  open(file: ResultFile): RowFile<TextRows> {
    const opened = new CountedFile(file)
    const format = (this.extension === 'csv' ? csvFormat : jsonFormat)(this.names)
    let rows = 0
    const write = async (text: string): Promise<void> => opened.write(utf8Encode(rows++ === 0 ? format.head() + text : text))
    return {
      get bytes() { return opened.bytes },
      add: async ({ cells }) => {
        for (let at = 0; at < cells.length; at += ROWS_AT_ONCE) await write(cells.slice(at, at + ROWS_AT_ONCE).map(format.row).join(''))
      },
      finish: async () => {
        await write(format.tail(0))
        await file.finish()
      },
      abort: () => file.abort(),
    }
  }
}

class CountedFile {
  bytes = 0
  private readonly file: ResultFile

  constructor(file: ResultFile) {
    this.file = file
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.file.write(bytes)
    this.bytes += bytes.length
  }
}
