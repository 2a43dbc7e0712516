import type { Client } from 'pg'
import type { PostgresServer } from '../../server/postgres.ts'
import type { PgModule } from './needs.ts'

/** One row as the server prints it. */
export type TextRow = readonly (string | null)[]

/** A connection to a server of the demo. Values are the server's own text. */
export class Session {
  private readonly client: Client

  private constructor(client: Client) {
    this.client = client
  }

  static async open(pg: PgModule, server: PostgresServer, database: string): Promise<Session> {
    const client = new pg.Client({
      host: server.socketDir, port: server.port, user: 'postgres', database, types: { getTypeParser: () => (text: unknown) => text },
    })
    // A server that stops ends its connections; the statement that runs then fails by itself.
    client.on('error', () => {})
    await client.connect()
    return new Session(client)
  }

  /** Runs one or more statements, in one transaction unless they say otherwise. */
  async run(sql: string): Promise<void> {
    await this.client.query(sql)
  }

  async rows(sql: string): Promise<TextRow[]> {
    const { rows } = await this.client.query<(string | null)[]>({ text: sql, rowMode: 'array' })
    return rows
  }

  async close(): Promise<void> {
    await this.client.end()
  }
}
