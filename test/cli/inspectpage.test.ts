import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { describePage, formatPage, type PageDescription } from '../../src/cli/pagedescription.ts'
import { pageFlagNames } from '../../src/page/pagetext.ts'
import { majors, withCluster } from '../support/oracle.ts'
import { ltap } from './streams.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-inspect-'))
afterAll(() => rmSync(directory, { recursive: true }))

const SETUP = `
  CREATE EXTENSION pageinspect;
  CREATE TABLE t(id int, a text, b int);
  INSERT INTO t SELECT n, repeat('x', n * 5), CASE WHEN n % 2 = 0 THEN n END FROM generate_series(1, 30) AS n;
  UPDATE t SET a = 'new' WHERE id % 5 = 0;
  DELETE FROM t WHERE id = 7;
  BEGIN; SELECT * FROM t WHERE id = 8 FOR SHARE; COMMIT;
  BEGIN; SELECT * FROM t WHERE id = 9 FOR UPDATE; COMMIT;
  BEGIN; INSERT INTO t VALUES (99); ROLLBACK;
  VACUUM t;
  UPDATE t SET a = 'newer' WHERE id % 5 = 0;
  CREATE TABLE frozen(id int);
  INSERT INTO frozen VALUES (1);
  VACUUM FREEZE frozen;
  CREATE SEQUENCE s;
  CREATE INDEX i ON t(id);
  CHECKPOINT`

const ITEMS = `
  SELECT lp, lp_off, lp_flags, lp_len, t_xmin, t_xmax, t_field3, t_ctid, t_infomask2, t_infomask, t_hoff, t_bits,
    array_to_json((heap_tuple_infomask_flags(t_infomask, t_infomask2)).raw_flags) AS flags
  FROM heap_page_items(get_raw_page('$', 0))`

const HEADER = "SELECT *, page_checksum(page, 0) AS computed FROM get_raw_page('$', 0) AS page, page_header(page)"

const STATES = ['UNUSED', 'NORMAL', 'REDIRECT', 'DEAD']

describe.each([majors()[0]!, majors().at(-1)!])('Postgres %i', (major) => {
  it('says what pageinspect says', async () => {
    await withCluster(major, major < 18 ? { initdbArgs: ['-k'] } : {}, async (cluster, sql) => {
      await sql.script(SETUP)
      for (const table of ['t', 'frozen', 's']) {
        const file = join(cluster.dataDir, (await sql.value(`SELECT pg_relation_filepath('${table}')`))!)
        const { code, stdout } = await ltap(['inspect', 'page', file, '--block', '0', '--json'])
        expect(code).toBe(0)
        const [page] = JSON.parse(stdout) as [PageDescription]
        const kind = table === 's' ? 'sequence' : 'heap'
        expect(page).toMatchObject({ problems: [], zero: false, kind, header: { checksumState: 'ok', pruneXid: expect.any(String) as string } })
        expect(page.items.every(({ tuple }) => tuple === undefined || typeof (tuple.xmin as unknown) === 'string')).toBe(true)
        const header = (await sql.query(HEADER.replace('$', table)))[0]!
        const { lsn, checksum, flags, lower, upper, special, pruneXid } = page.header
        const { computed } = header as { computed: string }
        expect([lsn, checksum, flags, lower, upper, special, pruneXid].map(String)).toEqual([
          header['lsn'], String(Number(computed) & 0xffff), ...['flags', 'lower', 'upper', 'special', 'prune_xid'].map((name) => header[name]),
        ])
        const items = await sql.query(ITEMS.replace('$', table))
        expect(page.items.map(({ tuple }) => [...(tuple?.infomaskNames ?? [])].sort())).toEqual(items.map((item) => rawNames(item)))
        expect(page.items.map(({ tuple, offset, state, off, len }) => [
          offset, off, state, len, tuple?.xmin, tuple?.xmax, tuple?.field3, tuple?.ctid, tuple?.infomask2, tuple?.infomask, tuple?.hoff,
        ].map((value) => (value === undefined ? null : String(value))))).toEqual(items.map((item) => [
          item['lp'], item['lp_off'], STATES[Number(item['lp_flags'])],
          ...['lp_len', 't_xmin', 't_xmax', 't_field3', 't_ctid', 't_infomask2', 't_infomask', 't_hoff'].map((name) => item[name]),
        ]))
        // pageinspect pads the bitmap to whole bytes.
        expect(page.items.map(({ tuple }) => tuple?.bits ?? null)).toEqual(
          items.map(({ t_bits: bits }, i) => bits?.slice(0, page.items[i]!.tuple!.natts) ?? null),
        )
      }
      const index = join(cluster.dataDir, (await sql.value("SELECT pg_relation_filepath('i')"))!)
      const [meta, root] = JSON.parse((await ltap(['inspect', 'page', index, '--json'])).stdout) as PageDescription[]
      expect([meta!.kind, root!.kind]).toEqual(['index', 'index'])
      expect(root!.items.every(({ tuple }) => tuple === undefined)).toBe(true)
    })
  })
})

/** pageinspect's names; combined bits, which it lists apart, in place of their parts. */
function rawNames({ flags, t_infomask: infomask }: Record<string, string | null>): string[] {
  if (infomask === null || flags === null) return []
  const names = new Set(JSON.parse(flags!) as string[])
  const combine = (bits: number, name: string, parts: string[]): void => {
    if ((Number(infomask) & bits) !== bits) return
    for (const part of parts) names.delete(part)
    names.add(name)
  }
  combine(0x0300, 'HEAP_XMIN_FROZEN', ['HEAP_XMIN_COMMITTED', 'HEAP_XMIN_INVALID'])
  combine(0x0050, 'HEAP_XMAX_SHR_LOCK', ['HEAP_XMAX_EXCL_LOCK', 'HEAP_XMAX_KEYSHR_LOCK'])
  return [...names].sort()
}

/** One tuple of 40 bytes at the end. */
function onePage(): Uint8Array {
  const page = new Uint8Array(8192)
  const view = new DataView(page.buffer)
  for (const [at, value] of [[12, 28], [14, 8152], [16, 8192], [18, 0x2004]] as const) view.setUint16(at, value, true)
  view.setUint32(24, 8152 | (1 << 15) | (40 << 17), true)
  page[8152 + 22] = 24
  return page
}

describe('text', () => {
  it('a page, a zero page, a second segment, a short file', async () => {
    const page = onePage()
    const file = join(directory, '16385.1')
    writeFileSync(file, Buffer.concat([page, Buffer.alloc(8192), Buffer.alloc(100)]))
    const { code, stdout, stderr } = await ltap(['inspect', 'page', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^ltap: \d+ bytes behind the last whole block, which no server reads\n$/) })
    expect(stdout).toContain('block 0 (block 131072 of the relation): heap page')
    expect(stdout).toContain('block 1 (block 131073 of the relation): all zero, never initialised')
    expect((await ltap(['inspect', 'page', file, '--block', '0', '--hex'])).stdout).toMatch(/1fd8: .*\|.*\|/)
    const fails = async (argv: string[], stderr: RegExp): Promise<void> => {
      expect(await ltap(['inspect', 'page', ...argv])).toMatchObject({ code: 3, stdout: '', stderr: expect.stringMatching(stderr) })
    }
    await fails([file, '--block', '2'], /no block 2: the file has 2/)
    await fails([join(directory, 'none')], /ENOENT|missing/)
    await fails([directory], /a folder where a file is expected/)
    writeFileSync(file, '')
    expect(await ltap(['inspect', 'page', file, '--json'])).toMatchObject({ code: 0, stdout: '[]\n' })
  })

  it('flags', () => {
    expect(pageFlagNames(0x8005)).toEqual(['PD_HAS_FREE_LINES', 'PD_ALL_VISIBLE', '0x8000'])
  })

  it('never fails, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(8191), fc.nat(255)), { maxLength: 60 }), fc.uint8Array({ maxLength: 64 }), (edits, head) => {
        const page = new Uint8Array(8192)
        page.set(head)
        for (const [at, byte] of edits) page[at] = byte
        expect(formatPage(describePage(page, 0, 0, true))).toMatch(/^block 0/)
      }),
      { numRuns: 500 },
    )
  })
})
