/**
 * Damaged data directories, one damage at a time: with `carry` no row of a table that the damage does not touch is lost or invented, what is
 * not read is named, and the lake leads back to every page. What the tables hold is COPY's of the server before.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import { whileFile } from '../support/badinput.ts'
import { transcode, withFolder } from '../support/lakes.ts'
import { visibleRows } from '../support/lakerows.ts'
import { closeSessions, connect, fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { drawn } from '../support/scope.ts'

interface Table {
  oid: number
  name: string
  file: string
  rows: string[]
  /** Blocks of the catalogs that its rows are on. */
  blocks: Readonly<Record<Catalog, number[]>>
}

const CATALOGS = ['pg_class', 'pg_attribute', 'pg_type'] as const
type Catalog = (typeof CATALOGS)[number]

const TABLES = 24

async function fill(sql: Session): Promise<void> {
  for (let i = 0; i < TABLES; i++) {
    await sql.exec(`CREATE TABLE t${i} (id int, v text, n numeric(10,2)); INSERT INTO t${i} SELECT g, 'row ' || g, g / 4.0 FROM generate_series(1, ${20 + i}) g`)
    await sql.exec(`DELETE FROM t${i} WHERE id % 7 = 0`)
  }
  // The map then leads elsewhere than initdb made it.
  await sql.script('VACUUM FULL pg_class; VACUUM FULL pg_type; SELECT 1')
}

async function tablesOf(sql: Session): Promise<Table[]> {
  const tables: Table[] = []
  for (let i = 0; i < TABLES; i++) {
    const name = `t${i}`
    const [row] = await sql.rows(`SELECT oid, pg_relation_filepath(oid) FROM pg_class WHERE relname = '${name}'`)
    const blockOf = async (query: string): Promise<number[]> =>
      (await sql.rows(`SELECT DISTINCT split_part(trim('()' from ctid::text), ',', 1) FROM ${query}`)).map(([block]) => Number(block))
    const rows = (await sql.rows(`SELECT ctid, id, v, n FROM ${name} ORDER BY ctid`)).map((values) => values.join(' '))
    tables.push({
      oid: Number(row![0]), name, file: row![1]!, rows,
      blocks: {
        pg_class: await blockOf(`pg_class WHERE oid = ${row![0]}`), pg_attribute: await blockOf(`pg_attribute WHERE attrelid = ${row![0]}`), pg_type: [],
      },
    })
  }
  return tables
}

/** As COPY prints them; undefined if the lake does not have the table. */
function rowsOf(lake: string, relation: LakeRelation): string[] {
  return visibleRows(lake, relation).rows.map(({ ctid, values: [id, v, n] }) => {
    const cents = String(n).padStart(3, '0')
    return `${ctid} ${id} ${String(v).slice(1)} ${cents.slice(0, -2)}.${cents.slice(-2)}`
  })
}

interface Damage {
  name: string
  /** Below the data directory. */
  file: string
  /** Undefined: the file goes. */
  change?: (bytes: Uint8Array) => Uint8Array
  /** Without carry. */
  message: RegExp
  /** In manifest.damage. */
  said?: RegExp
  /** Tables that may be missing. */
  touched?: (table: Table) => boolean
}

function zap(block: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => bytes.fill(0xab, block * 8192, (block + 1) * 8192)
}

function flip(byte: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    bytes[byte]! ^= 0xff
    return bytes
  }
}

describe.each(fewerMajors('majors of damage'))('damaged data directories of Postgres %i', (major) => {
  test('each kind of damage', async () => {
    await withFolder(async (folder) => {
      await withCluster(major, { initdbArgs: major >= 18 ? [] : ['-k'] }, async (cluster, first) => {
        await first.exec('CREATE DATABASE shop')
        await first.exec('CREATE DATABASE other')
        const sql = await connect(cluster, 'shop')
        await fill(sql)
        const otherSql = await connect(cluster, 'other')
        const tables = await tablesOf(sql)
        const path = async (session: Session, name: string): Promise<string> => (await session.value(`SELECT pg_relation_filepath('${name}')`))!
        const files = new Map<string, string>()
        for (const name of [...CATALOGS, 'pg_namespace', 'pg_database']) files.set(name, await path(sql, name))
        const otherClass = await path(otherSql, 'pg_class')
        await closeSessions(cluster)
        await cluster.stop()
        const pgdata = cluster.dataDir
        const base = files.get('pg_namespace')!.replace(/\/\d+$/, '')
        const random = new Random(TEST_SEED)
        const block = (name: string): number => random.int(readFileSync(join(pgdata, files.get(name)!)).length / 8192)
        const damages: Damage[] = [
          { name: 'a table without its file', file: tables[3]!.file, message: /relation.missing-file: the relation has no file/, touched: ({ name }) => name === 't3' },
          ...CATALOGS.map((name): Damage => {
            const hit = block(name)
            return {
              name: `block ${hit} of ${name}`, file: files.get(name)!, change: zap(hit), message: /^page\.|^CorruptionError|page\./,
              said: new RegExp(`page\\..*shop\\.pg_catalog\\.${name}.*block ${hit}`), touched: ({ blocks }) => blocks[name].includes(hit),
            }
          }),
          { name: 'pg_namespace', file: files.get('pg_namespace')!, change: zap(0), message: /page\./, said: /pg_namespace/ },
          { name: 'pg_database', file: files.get('pg_database')!, change: zap(0), message: /page\./, said: /pg_database has no whole row of database \d+: it is read as database_/ },
          { name: "a database's map", file: `${base}/pg_filenode.map`, message: /file.missing/, said: /pg_filenode.map.*[;:] guessed from the rows .*pg_class \d+/ },
          { name: "a database's map, wrong", file: `${base}/pg_filenode.map`, change: flip(20), message: /relmap: pg_filenode.map: wrong CRC/, said: /guessed from the rows/ },
          { name: 'the shared map', file: 'global/pg_filenode.map', message: /file.missing/, said: /guessed from the rows .*pg_database \d+/ },
          { name: 'pg_control', file: 'global/pg_control', message: /file.missing/, said: /pg_control is (?:missing|damaged).*; what it would say is guessed: system identifier \d{10,} from WAL; data checksums on/ },
          { name: 'pg_control, wrong', file: 'global/pg_control', change: flip(40), message: /control.crc/, said: /pg_control is damaged .*wrong CRC.*guessed:/ },
          { name: "another database's pg_class", file: otherClass, message: /relation.missing-file/, said: /other\.pg_catalog\.pg_class/ },
        ]
        let lakes = 0
        for (const { name, file, change, message, said, touched = () => false } of drawn(damages, 5, 'damages')) {
          const original = new Uint8Array(readFileSync(join(pgdata, file)))
          await whileFile(join(pgdata, file), change?.(original.slice()), async () => {
            const filter = { databases: [] as string[], tables: [] as string[] }
            const say = (what: string): string => `${name}: ${what}`
            await expect(transcode(pgdata, join(folder, `fail${lakes}`), { filter }), say('fail')).rejects.toThrow(message)
            const lake = join(folder, `lake${lakes++}`)
            const manifest = await transcode(pgdata, lake, { filter: { ...filter, exclude: ['pg_catalog.*', 'information_schema.*', 'pg_toast.*'] }, onCorrupt: 'carry' })
            expectTables(lake, manifest, tables, touched, say)
            if (said !== undefined) expect(manifest.damage, say('said')).toContainEqual(expect.stringMatching(said))
            expect(manifest.guessed, say('guessed')).toBe(file.endsWith('pg_control') ? true : undefined)
            expect((await verifyLake({ lake, pgdata, workers: 0 })).differences, say('verify')).toEqual([])
            rmSync(lake, { recursive: true })
          })
        }
      })
    })
  })
})

function expectTables(lake: string, manifest: Manifest, tables: readonly Table[], touched: (table: Table) => boolean, say: (what: string) => string): void {
  for (const table of tables) {
    const found = manifest.relations.filter(({ oid, path }) => oid === table.oid && path === table.file)
    const listed = manifest.notRead.some(({ oid, why }) => oid === table.oid && why === 'damaged') || manifest.orphans.includes(table.file)
    // A table is there, whole, or it is named; what the damage does not touch is there.
    expect([found.length > 0, listed], say(table.name)).toEqual(touched(table) && found.length === 0 ? [false, true] : [true, false])
    for (const relation of found) expect(rowsOf(lake, relation), say(table.name)).toEqual(table.rows)
  }
}
