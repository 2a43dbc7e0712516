import { fileMetaData } from './footer.ts'
import { CompactReader, damaged, I64, LIST, STRUCT } from './thrift.ts'

/** What the footer says of a column: the sum of its chunks in all row groups. */
export interface ColumnSize {
  /** Names from the top level down to the leaf. */
  readonly path: readonly string[]
  /** Bytes of its encoded pages with their headers, before and after compression. */
  readonly encoded: number
  readonly compressed: number
}

/**
 * Sizes of the leaf columns of a file, in the order of its schema (parquet.thrift: FileMetaData.row_groups, RowGroup.columns, ColumnChunk.meta_data).
 * @param bytes a whole file or its tail, with all of the footer @throws CorruptionError parquet.footer
 */
export function readColumnSizes(bytes: Uint8Array): ColumnSize[] {
  const reader = new CompactReader(fileMetaData(bytes))
  const columns = new Map<string, ColumnSize>()
  const add = (chunk: ColumnSize): void => {
    const id = JSON.stringify(chunk.path)
    const { encoded = 0, compressed = 0 } = columns.get(id) ?? {}
    columns.set(id, { path: chunk.path, encoded: encoded + chunk.encoded, compressed: compressed + chunk.compressed })
  }
  reader.struct((id, type) => {
    if (id === 4 && type === LIST) reader.structs(() => rowGroup(reader, add))
    else reader.skip(type, 0)
  })
  return [...columns.values()]
}

function rowGroup(reader: CompactReader, add: (chunk: ColumnSize) => void): void {
  reader.struct((id, type) => {
    if (id === 1 && type === LIST) reader.structs(() => add(columnChunk(reader)))
    else reader.skip(type, 0)
  })
}

function columnChunk(reader: CompactReader): ColumnSize {
  let found: ColumnSize | undefined
  reader.struct((id, type) => {
    if (id === 3 && type === STRUCT) found = columnMetaData(reader)
    else reader.skip(type, 0)
  })
  return found ?? damaged('a column chunk without metadata')
}

function columnMetaData(reader: CompactReader): ColumnSize {
  let path: string[] = []
  let encoded = -1
  let compressed = -1
  reader.struct((id, type) => {
    if (id === 3 && type === LIST) path = reader.strings()
    else if (id === 6 && type === I64) encoded = reader.count()
    else if (id === 7 && type === I64) compressed = reader.count()
    else reader.skip(type, 0)
  })
  if (path.length === 0 || encoded < 0 || compressed < 0) damaged('a column chunk without its path or its sizes')
  return { path, encoded, compressed }
}
