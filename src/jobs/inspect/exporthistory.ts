import { refuseInside } from '../../io/disk/localpath.ts'
import { localFolder } from '../../io/objectstore/openobjectstore.ts'
import { freeName } from '../../lake/layeredviews.ts'
import { dateText } from '../query/duckvalue.ts'
import { type ExportedRow, type ExportReport, exportRows, type ExportTarget, exportTarget } from '../query/exportrows.ts'
import { hivePath } from '../query/hivepath.ts'
import { plainColumn } from '../query/resultcolumns.ts'
import { parquetFiles, type ResultFormat, type RowBuffer, type RowFiles, textFiles } from '../query/resultfiles.ts'
import type { WriterLimits } from '../query/resultwriter.ts'
import type { ValueError } from '../../columnar/tuplevalues.ts'
import { columnText, dayOf, type HistoryColumn, historyColumns } from './historycolumns.ts'
import type { TableHistory } from './tablehistory.ts'

export interface ExportHistoryOptions {
  /** A folder or s3://bucket/prefix; one file if the name ends in `.parquet`, `.csv` or `.json`. Nothing may be there. */
  out: string
  /** @default the ending of `out`, parquet for a folder */
  format?: ResultFormat
  /** Folders `day=2026-01-31`, in UTC, of the commits that made the versions valid; one of Hive's name for NULL where that is not known. */
  partitionBy?: 'day'
  /** The first versions alone. */
  limit?: number
  limits?: WriterLimits
  /** As TableHistory.rows. */
  onDamage?: (error: ValueError) => void
  onNotice?: (text: string) => void
}

/**
 * Writes every row version of a table's history to files: Parquet, CSV or JSON. LSNs are numbers, times are in UTC. bool, the integers, float4 and float8 have
 * columns of their own type in Parquet; every other type is Postgres's text.
 * @param source the folder that the history was read from: nothing is written into it
 * @throws as TableHistory.rows; EnvironmentError query.out, path.inside, file.*, store.*
 */
export async function exportHistory(history: TableHistory, source: string, options: ExportHistoryOptions): Promise<ExportReport> {
  const { partitionBy, onDamage, limit = Infinity } = options
  const target = historyTarget(source, options)
  const columns = historyColumns(history)
  const day = partitionBy && freeName(partitionBy, columns.map(({ name }) => name))
  const rows = function* (): Generator<ExportedRow> {
    let left = limit
    if (left <= 0) return
    for (const row of history.rows(onDamage)) {
      const folder = day === undefined ? '' : hivePath([day], [dayText(dayOf(row))])
      yield { folder, values: columns.map(({ valueOf }) => valueOf(row)) }
      if (--left <= 0) return
    }
  }
  return await exportRows(target, filesOf(target.format, columns), rows(), options)
}

/** Refuses a place before the replay, which may take long. @throws EnvironmentError query.out, path.inside */
export function historyTarget(source: string, { out, format, partitionBy }: ExportHistoryOptions): ExportTarget {
  const folder = localFolder(out)
  if (folder !== undefined) refuseInside(folder, source)
  return exportTarget(out, format, partitionBy !== undefined)
}

function filesOf(format: ResultFormat, columns: readonly HistoryColumn[]): RowFiles<RowBuffer> {
  if (format === 'parquet') return parquetFiles(columns.map(({ name, kind }, i) => plainColumn(name, i + 1, kind)))
  return textFiles(format, columns.map(({ name }) => name), columns.map(({ kind }) => columnText(kind, format)))
}

function dayText(day: number | undefined): string | undefined {
  return day === undefined ? undefined : dateText(day)
}
