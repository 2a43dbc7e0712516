/** Databases of other encodings than UTF8, each with its hardest text in every type that holds text. */
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { RelationFilter } from '../../src/jobs/selection.ts'
import { userTables } from './lakes.ts'
import { connect } from './oracle.ts'

/** ASCII, then text of each encoding: everything it has beyond ASCII, or in the case of EUC_JP one of each kind of character. */
const TEXTS: Record<string, string[]> = {
  LATIN1: ['plain', Array.from({ length: 96 }, (_, i) => String.fromCharCode(0xa0 + i)).join(''), 'ÿ', 'naïve "quoted", {ü}'],
  LATIN9: ['€', 'Œuvre'],
  WIN1252: ['€uro — “quoted”', 'Ž'],
  KOI8R: ['Привет', '─│'],
  EUC_JP: ['日本語', 'ｱｲｳ', '丂丄', 'かな カナ', '~¥'.slice(0, 1), 'ab漢"字{},'],
  EUC_KR: ['한국어', '漢字'],
  EUC_CN: ['中文', '、。'],
}

export const ENCODINGS = [...Object.keys(TEXTS), 'SQL_ASCII']

/** Makes a database for each encoding; returns them and their tables. */
export async function makeEncodings(cluster: PostgresServer, encodings: readonly string[] = ENCODINGS): Promise<RelationFilter> {
  const sql = await connect(cluster)
  const filter: { databases: string[]; tables: string[] } = { databases: [], tables: [] }
  for (const encoding of encodings) {
    const database = `enc_${encoding.toLowerCase()}`
    await sql.script(`CREATE DATABASE ${database} TEMPLATE template0 ENCODING '${encoding}' LOCALE 'C'`)
    const texts = TEXTS[encoding]
    await (texts === undefined ? fillAscii(cluster) : fillDatabase(cluster, database, texts))
    filter.databases.push(database)
    filter.tables.push(...await userTables(await connect(cluster, database)))
  }
  return filter
}

const TABLES = `
  CREATE TYPE pair AS (a int, b text);
  CREATE TABLE texts (t text, v varchar(200), p char(120), n name, c "char", j json, jb jsonb, a text[], r pair, ra pair[], x xml,
    ts tsvector, tq tsquery);`

async function fillDatabase(cluster: PostgresServer, database: string, texts: readonly string[]): Promise<void> {
  const sql = await connect(cluster, database)
  const label = texts[0]!
  await sql.script(TABLES)
  await sql.script(`CREATE TYPE label AS ENUM ('${label}', 'other'); CREATE TABLE labels (l label, a label[]);
    INSERT INTO labels VALUES ('${label}', '{other,"${label}",NULL}');
    CREATE TABLE "${label} table" ("${label} column" int); INSERT INTO "${label} table" VALUES (1);
    CREATE TABLE toasted (v text); ALTER TABLE toasted ALTER v SET STORAGE external`)
  for (const text of texts) {
    await sql.query(`INSERT INTO texts VALUES ($1::text, $1, $1, left($1, 20), 'x', to_json($1::text),
      jsonb_build_object($1::text, $1::text), ARRAY[$1, NULL, 'x' || $1], ROW(1, $1), ARRAY[ROW(2, $1)]::pair[],
      xmlelement(name x, $1), array_to_tsvector(ARRAY[$1]), to_tsquery('simple', quote_literal($1)))`, [text])
    await sql.query('INSERT INTO toasted VALUES (repeat($1::text, 5000))', [text])
  }
  await sql.close()
}

/** SQL_ASCII holds any bytes: text that is UTF-8, text that is not, and half characters. */
async function fillAscii(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster, 'enc_sql_ascii')
  await sql.script(TABLES)
  const texts = ["'plain'", "'é 日本'", String.raw`E'\xff\xfe'`, String.raw`E'half \xc3'`, String.raw`E'\xe9t\xe9'`,
    String.raw`E'\\xff'`, String.raw`E'quoted "\xff",{}'`]
  for (const text of texts) {
    await sql.exec(`INSERT INTO texts SELECT s, s, s, s, 'x', to_json(s), jsonb_build_object(s, s), ARRAY[s, NULL], ROW(1, s)::pair,
      ARRAY[ROW(2, s)]::pair[], NULL, array_to_tsvector(ARRAY[s]), NULL FROM (SELECT ${text}::text AS s) s`)
  }
  await sql.script(`INSERT INTO texts (t) SELECT repeat(E'\\xff' || md5(i::text), 300) FROM generate_series(1, 3) i;
    INSERT INTO texts (t, c) SELECT 'chr ' || i, chr(i)::"char" FROM generate_series(1, 255) i`)
  await sql.close()
}
