import { resolve } from 'node:path'
import type { DuckDBResult, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import { printable } from '../../common/printable.ts'
import { refuseInside } from '../../io/disk/localpath.ts'
import { localFolder } from '../../io/objectstore/openobjectstore.ts'
import { storeUri } from '../../io/objectstore/storeuri.ts'
import { foldName, quoteName } from '../../lake/viewnames.ts'
import { valueText } from './duckvalue.ts'
import { type ExportedRow, type ExportReport, exportRows, exportTarget } from './exportrows.ts'
import { hivePath } from './hivepath.ts'
import { type OpenQuery, type QuerySource, withQuery } from './openquery.ts'
import { type ResultFormat, rowFiles } from './resultfiles.ts'
import type { WriterLimits } from './resultwriter.ts'

export interface ExportRequest extends QuerySource {
  /** A folder or s3://bucket/prefix; one file if the name ends in `.parquet`, `.csv` or `.json`. Nothing may be there. */
  out: string
  /** @default the ending of `out`, parquet for a folder */
  format?: ResultFormat
  /** Columns of the result that become folders, in Hive's layout: the files do not have them. */
  partitionBy?: readonly string[]
  limits?: WriterLimits
}

/**
 * Writes the rows of one statement to files. The statement runs behind the same lock as in {@link queryLake}: DuckDB writes nothing, ltap writes the rows
 * that it gives. The files appear at once when all are whole; in an object store one by one, and `_SUCCESS` last. Memory does not grow with the result.
 * @throws as {@link withQuery}; EnvironmentError query.out, query.partition, path.inside; UnsupportedError query.type, query.value
 */
export async function exportQuery(request: ExportRequest): Promise<ExportReport> {
  const { out, partitionBy = [], limits, onNotice } = request
  const target = exportTarget(out, request.format, partitionBy.length > 0)
  refuseInLake(out, request.lake)
  return withQuery(request, async (query) => {
    if (query.count > 1) {
      throw new EnvironmentError('query.statements', `one result goes out, and these are ${query.count} statements: run them one by one`)
    }
    const result = await query.result(0)
    const split = new Split(query, result, partitionBy)
    return await exportRows(target, rowFiles(target.format, query.duck, split.names, split.types), splitRows(query, result, split), { limits, onNotice })
  })
}

async function* splitRows(query: OpenQuery, result: DuckDBResult, split: Split): AsyncGenerator<ExportedRow> {
  for await (const rows of query.rows(result)) for (const row of rows) yield { folder: split.folder(row), values: split.values(row) }
}

/** A file there would be a stranger to the lake, and gc would remove it. @throws EnvironmentError path.inside */
function refuseInLake(out: string, lake: string): void {
  const [folder, lakeFolder] = [localFolder(out), localFolder(lake)]
  if (folder !== undefined && lakeFolder !== undefined) {
    refuseInside(folder, lakeFolder)
    if (resolve(folder) !== resolve(lakeFolder)) return
  } else if (folder !== undefined || lakeFolder !== undefined || !`${storeUri(out)}/`.startsWith(`${storeUri(lake)}/`)) {
    return
  }
  throw new EnvironmentError('path.inside', `the place lies inside of the lake ${lake}; name one outside of it`, { file: out })
}

/** Which columns of a row name its folder, and which go into the file. */
class Split {
  readonly names: readonly string[]
  readonly types: readonly DuckDBType[]
  private readonly partitionBy: readonly string[]
  private readonly folders: readonly { column: number; text: (value: DuckDBValue) => string | undefined }[]
  private readonly kept: readonly number[]

  /** @throws EnvironmentError query.partition */
  constructor({ duck }: OpenQuery, result: DuckDBResult, partitionBy: readonly string[]) {
    const names = result.deduplicatedColumnNames()
    const types = result.columnTypes()
    this.partitionBy = partitionBy
    this.folders = partitionBy.map((name) => {
      const column = columnOf(name, names)
      const { csv, isNested } = valueText(duck, types[column]!)
      if (isNested) {
        const what = `column ${printable(name)} has type ${String(types[column]!)}`
        throw new EnvironmentError('query.partition', `${what}: partition by a column of plain values`)
      }
      return { column, text: csv }
    })
    const taken = new Set(this.folders.map(({ column }) => column))
    if (taken.size < partitionBy.length) throw new EnvironmentError('query.partition', 'a column is named twice in --partition-by: name it once')
    this.kept = names.flatMap((_name, column) => (taken.has(column) ? [] : [column]))
    if (this.kept.length === 0) throw new EnvironmentError('query.partition', 'each column of the result is a partition column: leave one for the files')
    this.names = this.kept.map((column) => names[column]!)
    this.types = this.kept.map((column) => types[column]!)
  }

  /** '' without partition columns. */
  folder(row: readonly DuckDBValue[]): string {
    return this.folders.length === 0 ? '' : hivePath(this.partitionBy, this.folders.map(({ column, text }) => text(row[column]!)))
  }

  values(row: readonly DuckDBValue[]): readonly DuckDBValue[] {
    return this.folders.length === 0 ? row : this.kept.map((column) => row[column]!)
  }
}

function columnOf(name: string, names: readonly string[]): number {
  const column = names.indexOf(name)
  if (column >= 0) return column
  const alike = names.find((other) => foldName(other) === foldName(name))
  const advice = alike === undefined ? `it has: ${names.map(printable).join(', ')}` : `it has ${quoteName(alike)}, whose name differs in case: write that`
  throw new EnvironmentError('query.partition', `the result has no column ${printable(name)} for --partition-by; ${advice}`)
}
