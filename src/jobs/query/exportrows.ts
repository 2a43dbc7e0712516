import type { DuckDBValue } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { openResultPlace } from '../../io/results/openplace.ts'
import type { ResultPlace } from '../../io/results/resultplace.ts'
import type { ResultFormat, RowBuffer, RowFiles } from './resultfiles.ts'
import { ResultWriter, WRITER_LIMITS, type WriterLimits } from './resultwriter.ts'

export interface ExportReport {
  out: string
  format: ResultFormat
  rows: number
  files: number
  bytes: number
}

/** Where rows go, and in which form. */
export interface ExportTarget {
  /** A folder or s3://bucket/prefix; one file if the name ends in `.parquet`, `.csv` or `.json`. */
  readonly out: string
  readonly format: ResultFormat
  readonly isFile: boolean
  /** Rows are in folders below the place. */
  readonly isPartitioned: boolean
}

/** A row of the files of a folder; '' is the place itself. */
export interface ExportedRow {
  readonly folder: string
  readonly values: readonly DuckDBValue[]
}

/** @param format default: the ending of `out`, parquet for a folder @throws EnvironmentError query.out for a name that contradicts it */
export function exportTarget(out: string, asked: ResultFormat | undefined, isPartitioned: boolean): ExportTarget {
  const ending = endingOf(out)
  const format = asked ?? ending ?? 'parquet'
  if (ending !== undefined && ending !== format) {
    throw new EnvironmentError('query.out', `the name ends in .${ending}, and the format is ${format}: name it .${format}, or name a folder`, { file: out })
  }
  return { out, format, isFile: ending !== undefined && !isPartitioned, isPartitioned }
}

/**
 * Writes rows to files. They appear at once when all are whole; in an object store one by one, and `_SUCCESS` last. Memory does not grow with the rows.
 * @throws EnvironmentError query.out if something is there, file.*, store.*
 */
export async function exportRows(
  { out, format, isFile, isPartitioned }: ExportTarget, files: RowFiles<RowBuffer>, rows: Iterable<ExportedRow> | AsyncIterable<ExportedRow>,
  { limits = WRITER_LIMITS, onNotice }: { limits?: WriterLimits | undefined; onNotice?: ((text: string) => void) | undefined } = {},
): Promise<ExportReport> {
  const place = await openResultPlace(out, isFile, onNotice)
  const writer = new ResultWriter(place, files, limits)
  try {
    for await (const { folder, values } of rows) await writer.add(folder, values)
    await writer.finish(!isPartitioned)
    await place.finish()
  } catch (error) {
    await giveUp(writer, place)
    throw error
  }
  return { out, format, ...writer.written }
}

async function giveUp(writer: ResultWriter, place: ResultPlace): Promise<void> {
  await stopIfEnding()
  try {
    await writer.abort()
  } finally {
    await place.abandon()
  }
}

function endingOf(out: string): ResultFormat | undefined {
  const [, ending] = /[^/\\]\.(parquet|csv|json)$/.exec(out) ?? []
  return ending as ResultFormat | undefined
}
