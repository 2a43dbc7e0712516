import type pg from 'pg'
import type { Side } from './measure.ts'
import type { TableName } from './tables.ts'

/** The peer: one backend deforms every tuple and writes it out, to nowhere. */
export function copyBinary(client: pg.Client, table: TableName): Side {
  return { name: 'COPY BINARY', run: () => client.query(`COPY bench.${table} TO '/dev/null' (FORMAT binary)`) }
}
