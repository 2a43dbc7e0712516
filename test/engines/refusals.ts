/** What engines refuse, in their own words: never wrong rows. docs/engines.md lists it. */
import type { EngineName, Format } from './engine.ts'

/** What of a table an engine may refuse. */
export interface Refusable {
  readonly icebergVersion: 2 | 3
  /** Files of it lie in folders of other tables: parents of partitions, tables that others inherit from. */
  readonly isParent: boolean
  /** Two of its fields, of which one is in a list, have one name in its files. */
  readonly hasEqualNames: boolean
}

interface Refusal {
  readonly engine: EngineName
  readonly format: Format
  /** Of which tables; all without it. */
  readonly of?: Partial<Refusable>
  readonly says: RegExp
}

const REFUSALS: readonly Refusal[] = [
  { engine: 'polars', format: 'delta', says: /columnMapping|deletionVectors/ },
  { engine: 'duckdb', format: 'delta', of: { isParent: true }, says: /Cannot open file ".*\/file:\/\/\// },
  { engine: 'clickhouse', format: 'delta', of: { isParent: true }, says: /Cannot get metadata of file .*\/file:\/\/\/|Duplicate `delta/ },
  { engine: 'clickhouse', format: 'delta', of: { hasEqualNames: true }, says: /Duplicate `delta\.columnMapping\.physicalName`/ },
  { engine: 'clickhouse', format: 'iceberg', of: { icebergVersion: 3 }, says: /Position deletes are supported only for parquet format/ },
]

/** @returns what an engine may say instead of rows; undefined if it must read */
export function refusalOf(engine: EngineName, format: Format, table: Refusable): RegExp | undefined {
  return REFUSALS.find((refusal) => refusal.engine === engine && refusal.format === format && fits(refusal.of ?? {}, table))?.says
}

function fits(of: Partial<Refusable>, table: Refusable): boolean {
  return (Object.keys(of) as (keyof Refusable)[]).every((key) => of[key] === table[key])
}
