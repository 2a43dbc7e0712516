/** A table on a server of its own, of which given blocks change: what lakes that grow are measured with. */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { crc32c } from '../src/common/crc32c.ts'
import { BLOCK_SIZE } from '../src/common/rel.ts'
import type { ObjectStore } from '../src/engine/objectstore.ts'
import { materializeLake, type MaterializeReport } from '../src/jobs/materialize/materializelake.ts'
import { PostgresServer } from '../src/server/postgres.ts'
import { benchDir } from './data.ts'
import { withClient } from './server.ts'

const MAJOR = 17
const SETTINGS = { shared_buffers: '512MB', autovacuum: 'off', fsync: 'off', max_wal_size: '8GB', checkpoint_timeout: '1h', jit: 'off' }
const TABLE = 'public.accounts'
/** Rows of a full block: (8192 - 24) / (4 + 24 + 4 + 4 + 4 + 85 bytes, aligned). */
const ROWS_OF_BLOCK = 61

export class LayeredTable {
  readonly server: PostgresServer
  readonly blocks: number
  /** Files of the table's main fork, below the data directory. */
  private readonly path: string

  private constructor(server: PostgresServer, blocks: number, path: string) {
    this.server = server
    this.blocks = blocks
    this.path = path
  }

  /** @param blocks about so many */
  static async make(blocks: number): Promise<LayeredTable> {
    const server = await PostgresServer.create({ major: MAJOR, parentDir: benchDir() })
    try {
      await server.start(SETTINGS)
      const found = await withClient(server, async (client) => {
        await client.query('CREATE TABLE accounts (aid int, bid int, abalance int, filler char(84))')
        await client.query(`INSERT INTO accounts SELECT i, 1 + i / 100000, i * 7919 % 10007, md5(i::text) FROM generate_series(1, ${blocks * ROWS_OF_BLOCK}) i`)
        await client.query('VACUUM (FREEZE) accounts')
        const { rows: [row] } = await client.query<{ blocks: string; path: string }>(
          "SELECT pg_relation_size('accounts') / 8192 AS blocks, pg_relation_filepath('accounts') AS path")
        return row!
      })
      await server.stop()
      return new LayeredTable(server, Number(found.blocks), found.path)
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  get heapBytes(): number {
    return this.blocks * BLOCK_SIZE
  }

  /** The server runs while `body` does. */
  async change(body: (client: pg.Client) => Promise<unknown>): Promise<void> {
    await this.server.start(SETTINGS)
    await withClient(this.server, body)
    await this.server.stop()
  }

  /** Deletes a row of each block of which `step` is a divisor: no other block changes. */
  async touch(step: number, offset: number): Promise<void> {
    await this.change((client) => client.query(
      `DELETE FROM accounts WHERE ctid = ANY(ARRAY(SELECT ('(' || b || ',${offset})')::tid FROM generate_series(0, ${this.blocks - 1}, ${step}) b))`))
  }

  /** What changed goes into the lake. */
  async materialize(store: ObjectStore, merge = false): Promise<MaterializeReport> {
    return await materializeLake({
      pgdata: this.server.dataDir, store, filter: { databases: ['postgres'], tables: [TABLE] }, workers: 0, merge, publish: false,
    })
  }

  /** A plain read of the heap files, each page with its CRC. @returns of all of them */
  read(): number {
    let sum = 0
    const page = new Uint8Array(BLOCK_SIZE * 128)
    const folder = join(this.server.dataDir, this.path, '..')
    const name = this.path.split('/').at(-1)!
    for (const file of readdirSync(folder).filter((other) => other === name || other.startsWith(`${name}.`)).sort()) {
      const fd = openSync(join(folder, file), 'r')
      for (let bytes; (bytes = readSync(fd, page)) > 0;) {
        for (let at = 0; at < bytes; at += BLOCK_SIZE) sum = (sum + crc32c(page.subarray(at, at + BLOCK_SIZE))) >>> 0
      }
      closeSync(fd)
    }
    return sum
  }

  async remove(): Promise<void> {
    await this.server.remove()
  }
}
