import { describe, expect, it } from 'vitest'
import { hexDecode, hexEncode } from '../../src/common/bytes.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { byteaCodec } from '../../src/datum/types/bytea.ts'
import { charCodec } from '../../src/datum/types/char.ts'
import type { Codec } from '../../src/datum/codec.ts'
import { textEncoding } from '../../src/datum/encoding/encodings.ts'
import { enumCodec } from '../../src/datum/types/enum.ts'
import { nameCodec } from '../../src/datum/types/name.ts'
import { stringCodec } from '../../src/datum/types/text.ts'
import type { TypeDef } from '../../src/datum/typedef.ts'
import { parseOf, payloadOf, textOf } from '../datum/textlaws.ts'
import { fewerMajors, type Session, connect, withCluster } from '../support/oracle.ts'

const SCHEMA = `
CREATE EXTENSION pageinspect;
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', '\\x01000000', '%ENUM%');
CREATE TABLE t (a text, b varchar, c bpchar, d char(5), e json, f citext, g refcursor, h name, i "char", j mood, k bytea);
`
const TYPES = ['text', 'varchar', 'bpchar', 'bpchar', 'json', 'citext', 'refcursor', 'name', 'char', 'mood', 'bytea']
const FIXED = ['name', 'char', 'mood']

/** Texts that the encoding has; every row holds one of them in each of the string columns. */
const TEXTS: Record<string, string[]> = {
  UTF8: ['', 'a', 'é', '漢字', '\ufeffx', '😀', '\\x41', '\\xff', 'tab\t"quote" \\', 'x'.repeat(120), ' '],
  LATIN1: ['', 'a', 'é', 'ÿ\u0080', 'ÀÿÆ', '\\xff'],
  WIN1251: ['', 'Привет', '№ 5', '€'],
  EUC_JP: ['', 'a', '漢字かな', 'ｶﾅ', '丂'],
  EUC_JIS_2004: ['か゚', 'カ゚a', '𠂉', '漢字'],
  EUC_TW: ['漢字', '一'],
}

interface Stored {
  payload: Uint8Array
  /** Null: the server does not get it to the client. */
  text: string | null
}

/** "char" of 14 can hold the first byte of a longer character, which no client can read. */
const READABLE = `CASE WHEN i::int >= 0 OR current_setting('server_version_num')::int >= 150000
  OR current_setting('server_encoding') IN ('LATIN1', 'WIN1251') THEN i END`

/** Rows of the server: the stored attributes, and what the output functions make of them. */
async function readTable(sql: Session): Promise<Stored[][]> {
  const columns = TYPES.map((_, n) => `encode(t_attrs[${n + 1}], 'hex')`).join()
  const raw = await sql.rows(`SELECT ${columns} FROM heap_page_item_attrs(get_raw_page('t', 0), 't'::regclass)`)
  const texts = await sql.rows(`SELECT a, b, c, d, e, f, g, h, ${READABLE}, j, k FROM t ORDER BY ctid`)
  expect(raw.length).toBe(texts.length)
  return raw.map((row, r) => row.map((hex, c) => ({
    payload: FIXED.includes(TYPES[c]!) ? hexDecode(hex!) : payloadOf(hex!),
    text: texts[r]![c] ?? null,
  })))
}

async function moodDef(sql: Session): Promise<TypeDef> {
  const rows = await sql.rows('SELECT oid, enumlabel FROM pg_enum ORDER BY enumsortorder')
  const labels = rows.map(([oid, label]) => [Number(oid), label!] as const)
  return { oid: 1, name: 'mood', schema: 'public', kind: 'enum', len: 4, align: 4, storage: 'p', delimiter: ',', labels }
}

function codecs(major: PgMajor, encodingNumber: number, mood: TypeDef): Codec[] {
  const encoding = textEncoding(encodingNumber)
  return TYPES.map((type) => {
    if (type === 'name') return nameCodec(encoding)
    if (type === 'char') return charCodec(major, encoding)
    if (type === 'mood') return enumCodec(mood)
    return type === 'bytea' ? byteaCodec : stringCodec(encoding)
  })
}

async function fill(sql: Session, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    await sql.query(
      `INSERT INTO t SELECT $1::text, $1, $1::bpchar, left($1, 5), to_json($1::text), $1, $1::text::refcursor, left($1, 10)::name,
       left($1, 1)::"char", 'ok', convert_to($1, 'UTF8')`, [text])
  }
  await sql.exec("UPDATE t SET j = '\\x01000000' WHERE length(a) > 3")
  await sql.query('UPDATE t SET j = $1::mood WHERE length(a) = 1', [texts.find((text) => text.length > 1)])
  await sql.exec('VACUUM FULL t')
}

describe.each(fewerMajors('majors of strings'))('Postgres %i', (major) => {
  it('string types in databases of several encodings', async () => {
    await withCluster(major, {}, async (cluster, postgres) => {
      for (const [name, texts] of Object.entries(TEXTS)) {
        await postgres.exec(`CREATE DATABASE "${name}" ENCODING '${name}' LOCALE 'C' TEMPLATE template0`)
        const sql = await connect(cluster, name)
        await sql.script("SET client_encoding = 'UTF8'")
        await sql.script(SCHEMA.replace('%ENUM%', texts.find((text) => text.length > 1)!))
        await fill(sql, texts)
        const number = Number(await sql.value('SELECT encoding FROM pg_database WHERE datname = current_database()'))
        const types = codecs(major as PgMajor, number, await moodDef(sql))
        for (const row of await readTable(sql)) {
          row.forEach(({ payload, text }, c) => {
            expect(textOf(types[c]!, payload), `${name} ${TYPES[c]}`).toBe(text ?? `\\x${hexEncode(payload)}`)
            // The one text of the table that looks like overflowed bytes: the raw lane has it.
            if (text === '\\xff' && TYPES[c] !== 'bytea') return
            expect(hexEncode(parseOf(types[c]!, textOf(types[c]!, payload)))).toBe(hexEncode(payload))
          })
        }
      }
    })
  })

  it('every "char" byte', async () => {
    await withCluster(major, {}, async (_cluster, sql) => {
      await sql.exec('CREATE EXTENSION pageinspect; CREATE TABLE c (a "char")')
      await sql.exec('INSERT INTO c SELECT i::"char" FROM generate_series(-128, 127) i')
      const raw = await sql.rows(`SELECT encode(t_attrs[1], 'hex')
        FROM generate_series(0, 1) AS block, heap_page_item_attrs(get_raw_page('c', block), 'c'::regclass)`)
      const texts = await sql.rows('SELECT a FROM c ORDER BY ctid')
      const codec = charCodec(major as PgMajor, textEncoding(6))
      expect(raw.length).toBe(256)
      raw.forEach(([hex], r) => {
        const payload = hexDecode(hex!)
        const wanted = major >= 15 || payload[0]! < 0x80 ? texts[r]![0]! : `\\x${hex}`
        expect(textOf(codec, payload)).toBe(wanted)
        expect(hexEncode(parseOf(codec, wanted))).toBe(hex)
      })
    })
  })

  it('SQL_ASCII holds any bytes: text if they are UTF-8', async () => {
    await withCluster(major, { encoding: 'SQL_ASCII', initdbArgs: ['--locale=C'] }, async (_cluster, sql) => {
      await sql.exec("CREATE EXTENSION pageinspect; CREATE TABLE s (a text); SET client_encoding = 'SQL_ASCII'")
      await sql.exec("INSERT INTO s VALUES (E'caf\\xe9'), (E'caf\\xc3\\xa9'), ('abc')")
      const raw = await sql.rows("SELECT encode(t_attrs[1], 'hex') FROM heap_page_item_attrs(get_raw_page('s', 0), 's'::regclass)")
      const codec = stringCodec(textEncoding(0))
      expect(raw.map(([hex]) => textOf(codec, payloadOf(hex!)))).toEqual(['\\x636166e9', 'café', 'abc'])
    })
  })
})
