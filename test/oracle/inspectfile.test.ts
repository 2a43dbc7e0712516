/** One relation's file with its columns typed in, against COPY of the server that wrote it: every built-in type, dropped columns, TOAST, dead rows. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { builtInClosure, builtInType } from '../../src/catalog/builtintypes.ts'
import { ltap } from '../cli/streams.ts'
import { withFolder } from '../support/lakes.ts'
import { fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { loadZoo } from '../support/zoo.ts'

interface ZooFile {
  name: string
  file: string
  toast: string | null
  /** As `--columns` takes it, made by the server's own format_type. */
  columns: string
  /** Values as text, of types that print the same here: not the reg family, whose names need a catalog. */
  select: string
}

/** Tables of schema zoo whose columns are all of types that are built in. Of xml the server leaves out the declaration. */
async function zooFiles(sql: Session): Promise<ZooFile[]> {
  const rows = await sql.rows(`
    SELECT c.relname, pg_relation_filepath(c.oid), pg_relation_filepath(nullif(c.reltoastrelid, 0)),
      string_agg(CASE WHEN attisdropped THEN format('- %s %s', attlen, attalign)
        ELSE format('%I %s', attname, format_type(atttypid, atttypmod)) || CASE WHEN attnotnull THEN ' not null' ELSE '' END END, ', ' ORDER BY attnum),
      string_agg(format(CASE WHEN t.typname ~ '^_?reg' THEN CASE WHEN t.typelem = 0 THEN '%I::oid' ELSE '%I::oid[]' END ELSE '%I' END,
        attname), ', ' ORDER BY attnum) FILTER (WHERE NOT attisdropped)
    FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 LEFT JOIN pg_type t ON t.oid = atttypid
    WHERE relnamespace = 'zoo'::regnamespace AND relkind = 'r'
    GROUP BY c.oid, c.relname, c.reltoastrelid
    HAVING bool_and(attisdropped OR (t.typnamespace = 'pg_catalog'::regnamespace AND t.typrelid = 0 AND NOT atthasmissing AND attgenerated <> 'v'
      AND t.typname !~ 'xml|aclitem|int2vector|oidvector|pg_node_tree|jsonpath|gtsvector|pg_ndistinct|pg_dependencies|pg_mcv|brin'))
    ORDER BY 1`)
  return rows.map(([name, file, toast, columns, select]) => ({ name: name!, file: file!, toast: toast!, columns: columns!, select: select! }))
}

interface JsonRow {
  ctid: string
  state: string
  columns: Record<string, string | null>
}

async function inspect(args: string[]): Promise<JsonRow[]> {
  const { code, stdout, stderr } = await ltap(['inspect', 'file', ...args, '--json'])
  expect({ code, stderr, args }).toEqual({ code: 0, stderr: '', args })
  return JSON.parse(stdout) as JsonRow[]
}

/** The reg types print their number, and - for 0. */
function withoutDash(columns: string, value: string | null): string | null {
  return columns.includes(' reg') ? value?.replaceAll(/(?<=^|[{,])-(?=$|[},])/g, '0') ?? null : value
}

/** Before 16 charout sends the byte 0xc3 of a "char" as it is, which is no text: ours is its hex, escaped once more inside an array. */
function withoutRawByte(value: string | null, found: string | null | undefined): string | null {
  const isHex = value?.includes('\ufffd') === true && found?.includes('\\xc3') === true
  if (!isHex) return value
  return value.startsWith('{') ? value.replaceAll('\ufffd', '"\\\\xc3"') : value.replaceAll('\ufffd', '\\xc3')
}

describe.each(fewerMajors('majors of inspect file'))('inspect file on Postgres %i', (major) => {
  test('every table of the zoo', async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      await loadZoo(major, sql)
      await sql.script('VACUUM; CHECKPOINT')
      const files = await zooFiles(sql)
      expect(files.length).toBeGreaterThan(60)
      let values = 0
      for (const { name, file, toast, columns, select } of files) {
        const expected = await sql.rows(`SELECT ctid, ${select} FROM ONLY zoo."${name}" ORDER BY ctid`)
        const args = [join(cluster.dataDir, file), '--columns', columns, ...(toast === null ? [] : ['--toast', join(cluster.dataDir, toast)])]
        const found = (await inspect(args)).map((row) => [row.ctid, ...Object.values(row.columns).map((value) => withoutDash(columns, value))])
        expect({ name, columns, found }).toEqual({ name, columns, found: expected.map((row, i) => row.map((value, k) => withoutRawByte(value, found[i]?.[k]))) })
        values += expected.length * (expected[0]?.length ?? 0)
      }
      expect(values).toBeGreaterThan(5000)
    })
  })

  test('csv, table, dead rows, dropped columns, damage, types', async () => {
    await withFolder(async (folder) => {
      await withCluster(major, {}, async (cluster, sql) => {
        await sql.script(`
          CREATE TABLE t (id int, gone text, "Name" varchar(20), price numeric(10,2), tags text[], at timestamp with time zone, body text);
          INSERT INTO t SELECT i, 'gone', 'n' || i, i / 4.0, ARRAY['a', 'b,' || i], '2026-01-31 12:00Z', repeat(md5(i::text), CASE i % 50 WHEN 0 THEN 400 ELSE 1 END)
            FROM generate_series(1, 500) i;
          ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
          INSERT INTO t SELECT 1000, 'gone', NULL, NULL, NULL, 'infinity', repeat('x', 9000);
          ALTER TABLE t DROP gone; SELECT count(*) FROM t;
          DELETE FROM t WHERE ctid = '(0,7)'`)
        const updated = await sql.value(`UPDATE t SET price = -1 WHERE ctid = '(0,8)' RETURNING ctid`)
        // Hint bits without a scan, which would prune.
        await sql.exec(`SELECT * FROM t WHERE ctid = ANY ('{"(0,7)","(0,8)","${updated}"}'::tid[])`)
        await sql.exec('CHECKPOINT')
        const [heap, toast] = ['heap', 'toast'].map((name) => join(folder, name)) as [string, string]
        const paths = (await sql.rows(`SELECT pg_relation_filepath(oid), pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 't'`))[0]!
        copyFileSync(join(cluster.dataDir, paths[0]!), heap)
        copyFileSync(join(cluster.dataDir, paths[1]!), toast)
        const columns = 'id int primary key, - -1 i, "Name" character varying(20) default \'a, b\', price decimal(10,2), tags text array, at timestamptz, body text, unique (id)'
        const args = ['inspect', 'file', heap, '--columns', columns, '--major', String(major)]

        // The five cells before the columns have no quotes and no commas but one, in the ctid.
        const csv = await ltap([...args, '--toast', toast, '--format', 'csv'])
        expect(csv.stderr).toBe('')
        const stripped = csv.stdout.replace(/^"\(\d+,\d+\)",\d+,\d+,"\(\d+,\d+\)",live,/gm, '').replace('ctid,xmin,xmax,next,state,', '')
        expect(stripped).toBe((await sql.copyOut('(SELECT * FROM t ORDER BY ctid)', 'FORMAT csv, HEADER')).toString())
        const dead = await inspect([...args.slice(2), '--toast', toast, '--dead'])
        expect(dead.filter(({ state }) => state !== 'live').map(({ state, columns: { id } }) => `${id} ${state}`)).toEqual(['7 deleted', '8 updated'])

        // Without the TOAST file only the values in it are missing, and named.
        const pointers = await ltap([...args, '--json'])
        const without = JSON.parse(pointers.stdout) as JsonRow[]
        expect(without).toHaveLength(500)
        expect([pointers.code, pointers.stderr]).toEqual([0, 'ltap: 1 value whose TOAST chunks are missing: shown as TOAST pointers, \\x…\n'])
        const lacking = without.filter(({ columns: { body } }) => body!.startsWith('\\x0112'))
        expect(lacking.map(({ columns: { id } }) => id)).toContain('1000')

        // Damage costs the page, or the tuple, and nothing else.
        const bytes = readFileSync(heap)
        bytes[8192 + 100]! ^= 0xff
        bytes.fill(0xee, 2 * 8192, 2 * 8192 + 24)
        writeFileSync(heap, bytes)
        const damaged = await ltap([...args, '--toast', toast, '--json'])
        expect(damaged.code).toBe(3)
        expect(damaged.stderr).toMatch(/^ltap: page\..* \(.*block 2\)$/m)
        const blocks = new Set((JSON.parse(damaged.stdout) as JsonRow[]).map(({ ctid }) => ctid.split(',')[0]))
        expect([blocks.has('(0'), blocks.has('(2'), blocks.has('(3')]).toEqual([true, false, true])

        // What is no heap is refused: nothing in it is a row.
        const other = join(folder, '16385')
        const index = readFileSync(join(cluster.dataDir, (await sql.value("SELECT pg_relation_filepath('pg_class_oid_index')"))!))
        const all = 'id int, - -1 i, "Name" varchar, price numeric, tags text[], at timestamptz, body text'
        for (const [content, message] of [
          [Buffer.from('17\n'), /3 bytes are less than a page/], [index, /none of its \d+ blocks is a page of a heap/],
          [Buffer.alloc(3 * 8192, 0xee), /none of its 3 blocks is a page of a heap/],
        ] as const) {
          writeFileSync(other, content)
          const refused = await ltap(['inspect', 'file', other, '--columns', all])
          expect(refused).toMatchObject({ code: 3, stdout: '', stderr: expect.stringMatching(/^ltap: relation.no-heap: .*: name the main file of a table.*\n$/) as string })
          expect(refused.stderr).toMatch(message)
          expect((await ltap(['inspect', 'file', heap, '--columns', all, '--toast', other])).stderr).toMatch(/relation.no-heap/)
        }
        const map = join(cluster.dataDir, `${(await sql.value("SELECT pg_relation_filepath('pg_class')"))!}_vm`)
        expect((await ltap(['inspect', 'file', map, '--columns', 'id int'])).stderr).toMatch(/relation.no-heap: it is a map of another file/)
        for (const content of [Buffer.alloc(0), Buffer.alloc(8192)]) {
          writeFileSync(other, content)
          expect(await inspect([other, '--columns', 'id int'])).toEqual([])
        }

        // Columns that are not the file's.
        await sql.script(`CREATE TABLE wrong (a int, b int, c text); INSERT INTO wrong SELECT i, i, 'text ' || i FROM generate_series(1, 9) i; VACUUM wrong; CHECKPOINT`)
        copyFileSync(join(cluster.dataDir, (await sql.value("SELECT pg_relation_filepath('wrong')"))!), other)
        const many = await ltap(['inspect', 'file', other, '--columns', 'a int, b int, c text, d int, e text'])
        expect(many).toMatchObject({ code: 0, stderr: expect.stringMatching(/^ltap: no row version has more than 3 attributes, and --columns has 5: the others are shown as NULL/) as string })
        const order = await ltap(['inspect', 'file', other, '--columns', 'c int, b int, a int'])
        expect(order.code).toBe(3)
        expect(order.stderr).toMatch(/^ltap: 9 row versions with bytes behind the last of the --columns: these are not the columns of this file, .*\n$/)
        expect(await inspect([other, '--columns', 'a int, b int, c text'])).toHaveLength(9)

        const wrong = await ltap(['inspect', 'file', heap, '--columns', 'id int'])
        expect(wrong.code).toBe(3)
        expect(wrong.stderr).toMatch(/tuple.natts: 7 attributes, the table has 1.*\n[^]*and \d+ damaged pages, tuples or values more\n$/)
      })
    })
  })

  test('types are those of pg_type', async () => {
    await withCluster(major, {}, async (_, sql) => {
      const rows = await sql.rows(`
        SELECT typname, oid, typarray, typlen, CASE typalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END, typstorage, typdelim, typtype,
          (SELECT CASE t.typtype WHEN 'r' THEN rngsubtype ELSE rngtypid END FROM pg_range WHERE t.oid IN (rngtypid, rngmultitypid)),
          (SELECT typalign::text || typstorage::text FROM pg_type a WHERE a.oid = t.typarray)
        FROM pg_type t WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')`)
      let known = 0
      for (const [name, oid, array, len, align, storage, delimiter, kind, subtype, arrayLayout] of rows) {
        const found = builtInType(name!)
        if (found === undefined) continue
        known++
        const { type } = found
        expect([name, type.oid, found.array, type.len, type.align, type.storage, type.delimiter, type.kind[0], type.subtype ?? null])
          .toEqual([name, Number(oid), Number(array), Number(len), Number(align), storage, delimiter, kind, subtype === null ? null : Number(subtype)])
        const arrayType = builtInClosure([found.array]).find((other) => other.oid === found.array)!
        expect([name, arrayType.align === 8 ? 'd' : 'i', arrayType.storage].join('')).toBe(`${name}${arrayLayout}`)
      }
      expect(known).toBe(72)
    })
  })
})
