/** What engines refuse, in their own words: never wrong rows. docs/engines.md lists it. */
import type { EngineName, Format } from './engine.ts'

interface Refusal {
  readonly engine: EngineName
  readonly format: Format
  /** Of Iceberg; all without it. */
  readonly version?: 2 | 3
  /** Only of tables whose files lie in folders of other ones: parents of partitions, tables that others inherit from. */
  readonly parents?: true
  readonly says: RegExp
}

const REFUSALS: readonly Refusal[] = [
  { engine: 'polars', format: 'delta', says: /columnMapping|deletionVectors/ },
  { engine: 'duckdb', format: 'delta', parents: true, says: /Cannot open file ".*\/file:\/\/\// },
  // It wants names that no other field of the table has, of nested fields too: a text of _overflow has the name of its column.
  { engine: 'clickhouse', format: 'delta', says: /Duplicate `delta\.columnMapping\.physicalName`/ },
  { engine: 'clickhouse', format: 'iceberg', version: 3, says: /Position deletes are supported only for parquet format/ },
]

/** @returns what an engine may say instead of rows; undefined if it must read */
export function refusalOf(engine: EngineName, format: Format, { icebergVersion, isParent }: { icebergVersion: 2 | 3, isParent: boolean }): RegExp | undefined {
  return REFUSALS.find((refusal) => refusal.engine === engine && refusal.format === format
    && (refusal.version ?? icebergVersion) === icebergVersion && (refusal.parents ?? isParent) === isParent)?.says
}
