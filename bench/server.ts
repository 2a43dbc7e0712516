import pg from 'pg'
import type { PostgresServer } from '../src/server/postgres.ts'
import type { Side } from './measure.ts'
import type { TableName } from './tables.ts'

/** The peer: one backend deforms every tuple and writes it out, to nowhere. */
export function copyBinary(client: pg.Client, table: TableName): Side {
  return { name: 'COPY BINARY', run: () => client.query(`COPY bench.${table} TO '/dev/null' (FORMAT binary)`) }
}

/** A session on the server's database postgres while `body` runs. */
export async function withClient<T>(server: PostgresServer, body: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ host: server.socketDir, port: server.port, user: 'postgres', database: 'postgres' })
  await client.connect()
  try {
    return await body(client)
  } finally {
    await client.end()
  }
}
