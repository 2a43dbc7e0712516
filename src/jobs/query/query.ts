import type { DuckDBResult, DuckDBValue } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import { type ValueText, valueText } from './duckvalue.ts'
import type { Listing } from './describelake.ts'
import { type OpenQuery, type QuerySource, withQuery } from './openquery.ts'
import { alignedFormat, type Cells, csvFormat, jsonFormat } from './tabletext.ts'

export type QueryFormat = 'table' | 'csv' | 'json'

export interface QueryRequest extends QuerySource {
  /** JSON is one document: it takes one statement. The rows of several statements follow each other, with an empty line between. */
  format: QueryFormat
}

/** Takes text piece by piece; the next piece comes when the promise resolves. */
export type WriteText = (text: string) => Promise<void>

/** Rows a table's column widths are taken from. */
const TABLE_SAMPLE = 10_000

/**
 * Runs SQL over the rows that were visible at the lake's LSN; schema `ltap_<schema>` shows all tuples with `_ltap` and `_visible`.
 * Rows stream: memory does not grow with the result.
 * @throws as {@link withQuery}
 */
export async function queryLake(request: QueryRequest, write: WriteText): Promise<{ rows: number }> {
  return withQuery(request, async (query) => {
    const { format } = request
    if (format === 'json' && query.count > 1) {
      const what = `JSON is one document, and these are ${query.count} statements`
      throw new EnvironmentError('query.statements', `${what}: run them one by one, or as CSV or tables`)
    }
    let rows = 0
    for (let i = 0; i < query.count; i++) {
      const result = await query.result(i)
      if (i > 0) await write('\n')
      rows += await writeResult(query, result, format, write)
    }
    return { rows }
  })
}

async function writeResult(query: OpenQuery, result: DuckDBResult, format: QueryFormat, write: WriteText): Promise<number> {
  const texts = result.columnTypes().map((type) => valueText(query.duck, type))
  const chunks = cellsOf(query.rows(result), texts.map((text) => text[format]))
  const sample: Cells[] = []
  while (format === 'table' && sample.length < TABLE_SAMPLE) {
    const { done, value } = await chunks.next()
    if (done) break
    sample.push(...value)
  }
  const names = format === 'json' ? result.deduplicatedColumnNames() : result.columnNames()
  const isNumber = texts.map((text) => text.isNumber)
  const text = format === 'json' ? jsonFormat(names) : format === 'csv' ? csvFormat(names) : alignedFormat(names, isNumber, sample)
  let rows = sample.length
  await write(text.head() + sample.map(text.row).join(''))
  for await (const chunk of chunks) {
    rows += chunk.length
    await write(chunk.map(text.row).join(''))
  }
  await write(text.tail(rows))
  return rows
}

/** Prints what a command of psql lists. */
export async function printListing({ names, rows }: Listing, format: QueryFormat, write: WriteText): Promise<void> {
  const cells = format === 'json' ? rows.map((row) => row.map((cell) => JSON.stringify(cell ?? null))) : rows
  const shown = format === 'table' ? rows.map((row) => row.map((cell) => cell ?? '')) : cells
  const text = format === 'json' ? jsonFormat(names) : format === 'csv' ? csvFormat(names) : alignedFormat(names, names.map(() => false), shown)
  await write(text.head() + shown.map(text.row).join('') + text.tail(rows.length))
}

async function* cellsOf(chunks: AsyncIterable<DuckDBValue[][]>, texts: readonly ValueText['table'][]): AsyncGenerator<Cells[], undefined> {
  for await (const rows of chunks) yield rows.map((values) => values.map((value, column) => texts[column]!(value)))
  return undefined
}
