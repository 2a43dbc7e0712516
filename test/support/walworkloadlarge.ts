/** A table of so many blocks that its visibility map has two pages, and is cut on both. */
import { type PostgresServer } from '../../src/server/postgres.ts'
import { connect } from './oracle.ts'

/** HEAPBLOCKS_PER_PAGE (visibilitymap.c). */
const BLOCKS_PER_MAP_PAGE = 32672

export async function prepareLarge(cluster: PostgresServer): Promise<void> {
  await (await connect(cluster)).script(`
    CREATE TABLE large (id int, v text) WITH (autovacuum_enabled = off); ALTER TABLE large ALTER COLUMN v SET STORAGE PLAIN;
    INSERT INTO large SELECT i, repeat('l', 4100) FROM generate_series(0, 32600) i`)
}

export async function runLarge(cluster: PostgresServer): Promise<{ tablespaces: string[] }> {
  const sql = await connect(cluster)
  const blocks = async () => Number(await sql.value("SELECT pg_relation_size('large') / 8192"))
  await sql.script(`CHECKPOINT; INSERT INTO large SELECT i, repeat('m', 4100) FROM generate_series(32601, 34500) i; VACUUM (FREEZE) large;
    UPDATE large SET v = repeat('n', 4100) WHERE id IN (5, 32671, 32672, 32700, 33000); DELETE FROM large WHERE id IN (7, 32670, 32673, 32999); VACUUM large`)
  // VACUUM cuts a tail of 1000 blocks or more.
  for (const first of [33_203, 32_002]) {
    await sql.script(`CHECKPOINT; DELETE FROM large WHERE ctid >= '(${first},0)'; VACUUM large`)
    if (await blocks() !== first) throw new Error(`the table was not cut to ${first} blocks but to ${await blocks()}`)
  }
  await sql.script(`INSERT INTO large SELECT i, repeat('o', 4100) FROM generate_series(40000, 41500) i; VACUUM large;
    DELETE FROM large WHERE ctid >= '(${BLOCKS_PER_MAP_PAGE - 300},0)'; VACUUM large`)
  return { tablespaces: [] }
}
