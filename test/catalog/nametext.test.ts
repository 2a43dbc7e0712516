/** Two names never become one text, whatever their bytes. */
import fc from 'fast-check'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nameText } from '../../src/catalog/nametext.ts'
import { hexEncode } from '../../src/common/bytes.ts'
import { utf8Encode } from '../../src/common/utf8.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { ltap } from '../cli/streams.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'

/** pg_database.encoding: SQL_ASCII, EUC_JP, EUC_KR, EUC_TW, EUC_JIS_2004, UTF8, LATIN1, WIN1252, KOI8R. */
const ENCODINGS = [0, 1, 3, 4, 5, 6, 8, 24, 22]
const NAME_MAX = 63

/** Names, of any bytes but NUL, and names that spell what another name's text may be. */
const name = fc.oneof(
  fc.uint8Array({ min: 1, minLength: 1, maxLength: 6 }), fc.uint8Array({ min: 0x80, minLength: 1, maxLength: 4 }),
  fc.uint8Array({ min: 1, minLength: 1, maxLength: 4 }).map((bytes) => utf8Encode(`\\x${hexEncode(bytes)}`)),
)

it.each(ENCODINGS)('encoding %i: different names are different texts', (encoding) => {
  fc.assert(fc.property(fc.array(name, { minLength: 2, maxLength: 40 }), (names) => {
    const texts = new Map<string, string>()
    for (const bytes of names.flatMap((bytes) => [bytes, utf8Encode(nameText(bytes, encoding))]).filter(({ length }) => length <= NAME_MAX)) {
      const text = nameText(bytes, encoding)
      const hex = hexEncode(bytes)
      expect(texts.get(text) ?? hex, text).toBe(hex)
      texts.set(text, hex)
    }
  }), { numRuns: 300 })
})

it('every code of two bytes of the EUC encodings', () => {
  for (const encoding of [1, 3, 4, 5]) {
    const texts = new Set<string>()
    for (let code = 0xa1a1; code <= 0xfefe; code++) if ((code & 0xff) >= 0xa1 && (code & 0xff) <= 0xfe) texts.add(nameText(Uint8Array.of(code >> 8, code & 0xff), encoding))
    expect(texts.size).toBe(94 * 94)
  }
})

const MARK = ' (bytes of a name that no text in the encoding of its database stands for)'

/** Databases by encoding: a name of bytes that are no text there, as SQL and as hex; and a name that looks like it. */
const DATABASES = [
  { encoding: 'SQL_ASCII', sql: String.raw`E'\xff'`, hex: 'ff' }, { encoding: 'WIN1252', sql: String.raw`E'\x81'`, hex: '81' },
  { encoding: 'EUC_JP', sql: String.raw`E'\xa9\xa1'`, hex: 'a9a1' }, { encoding: 'LATIN1', sql: String.raw`E'\xff'`, hex: undefined },
]

it.each([majors().at(-1)!])('Postgres %i: labels, fields, columns and tables of both kinds stay apart', async (major) => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-nametext-'))
  try {
    await withCluster(major, {}, async (cluster, admin) => {
      for (const { encoding, sql, hex } of DATABASES) {
        await admin.exec(`CREATE DATABASE "${encoding}" ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
        const session = await connect(cluster, encoding)
        const twin = `'\\x${hex ?? 'ff'}'`
        await session.exec(`DO $do$ BEGIN
          EXECUTE format('CREATE TYPE e AS ENUM (%L, %L)', ${sql}, ${twin});
          EXECUTE format('CREATE TYPE c AS (%I int, %I int)', ${sql}, ${twin});
          EXECUTE format('CREATE TABLE t (id int, e e, c c, %I int, %I int)', ${sql}, ${twin});
          EXECUTE format('CREATE TABLE %I (i int)', ${sql}); EXECUTE format('CREATE TABLE %I (i int)', ${twin});
          EXECUTE format('INSERT INTO t VALUES (1, %L, ROW(1, 2), 3, 4), (2, %L, ROW(5, 6), 7, 8)', ${sql}, ${twin});
        END $do$`)
      }
      await closeSessions(cluster)
      await cluster.stop()
      const opened = openCluster(cluster.dataDir)
      for (const { encoding, hex } of DATABASES) {
        const bytes = hex === undefined ? 'ÿ' : `\\x${hex}${MARK}`
        const twin = `\\x${hex ?? 'ff'}`
        const relations = opened.relations(opened.databases.find(({ name: database }) => database === encoding)!.oid)
        const t = relations.find(({ name: table, schema }) => table === 't' && schema === 'public')!
        expect(t.desc!.attributes.map(({ name: column }) => column)).toEqual(['id', 'e', 'c', bytes, twin])
        expect(t.desc!.types.find(({ kind }) => kind === 'enum')!.labels!.map(([, label]) => label)).toEqual([bytes, twin])
        expect(t.desc!.types.find(({ kind }) => kind === 'composite')!.fields!.map(({ name: field }) => field)).toEqual([bytes, twin])
        expect(relations.filter(({ schema, relkind }) => schema === 'public' && relkind === 'r').map(({ name: table }) => table).sort()).toEqual([bytes, twin, 't'].sort())
        const lake = join(folder, encoding)
        expect((await ltap(['transcode', cluster.dataDir, '--lake', lake, '--database', encoding, '--table', 'public.t'])).code).toBe(0)
        const { stdout } = await ltap(['query', '--lake', lake, '--json', 'SELECT * EXCLUDE (_overflow) FROM t ORDER BY id'])
        expect(JSON.parse(stdout)).toEqual([
          { id: 1, e: bytes, c: { [bytes]: 1, [twin]: 2 }, [bytes]: 3, [twin]: 4 }, { id: 2, e: twin, c: { [bytes]: 5, [twin]: 6 }, [bytes]: 7, [twin]: 8 },
        ])
        expect((await ltap(['verify', cluster.dataDir, '--lake', lake])).code).toBe(0)
      }
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
