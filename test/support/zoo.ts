/** Loads fixtures/sql/zoo*.sql: every built-in type, with edge and generated values, in schema zoo of the session's database. */
import { readFileSync } from 'node:fs'
import type { Session } from './oracle.ts'

const FILES: { file: string; since: number }[] = [
  { file: 'zoo.sql', since: 14 },
  { file: 'zoo-15.sql', since: 15 },
  { file: 'zoo-17.sql', since: 17 },
  { file: 'zoo-18.sql', since: 18 },
  { file: 'zoo-types.sql', since: 14 },
  { file: 'zoo-contrib.sql', since: 14 },
  { file: 'zoo-mixed.sql', since: 14 },
]

export function readFixture(file: string): string {
  return readFileSync(new URL(`../../fixtures/sql/${file}`, import.meta.url), 'utf8')
}

/** Fills schema zoo of a UTF8 database. Takes a few seconds. */
export async function loadZoo(major: number, sql: Session): Promise<void> {
  for (const { file, since } of FILES) {
    if (since <= major) await sql.script(readFixture(file))
  }
  await loadOddFloats(sql)
}

export interface ZooTable {
  name: string
  columns: string[]
}

/** Tables of schema zoo in name order. */
export async function zooTables(sql: Session): Promise<ZooTable[]> {
  const rows = await sql.rows(`
    SELECT c.relname, string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'zoo'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY 1 ORDER BY 1`)
  return rows.map(([name, columns]) => ({ name: name ?? '', columns: (columns ?? '').split(',') }))
}

/** NaNs with every kind of payload: no input function makes them, but float4recv and float8recv store any bits. */
async function loadOddFloats(sql: Session): Promise<void> {
  const nans8 = ['7ff8000000000000', 'fff8000000000000', '7ff0000000000001', '7fffffffffffffff', 'fff800000000beef']
  const nans4 = ['7fc00000', 'ffc00000', '7f800001', '7fffffff', 'ffc0beef']
  await sql.copyIn('zoo.float8 (id, v)', binaryCopy(nans8), '(FORMAT binary)')
  await sql.copyIn('zoo.float4 (id, v)', binaryCopy(nans4), '(FORMAT binary)')
}

/** Rows (id from 7000, value) in COPY's binary format. */
function binaryCopy(values: string[]): Buffer {
  const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
  const rows = values.map((hex, i) => {
    const value = Buffer.from(hex, 'hex')
    const row = Buffer.alloc(14)
    row.writeInt16BE(2, 0)
    row.writeInt32BE(4, 2)
    row.writeInt32BE(7000 + i, 6)
    row.writeInt32BE(value.length, 10)
    return Buffer.concat([row, value])
  })
  return Buffer.concat([header, ...rows, Buffer.from([0xff, 0xff])])
}
