/** Relations that are not in a lake: every place where a user asks for them says so, and why. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { queryLake } from '../../src/jobs/query/query.ts'
import { type Manifest, parseManifest } from '../../src/lake/manifest.ts'
import type { NotRead } from '../../src/lake/notread.ts'
import { viewsFile } from '../../src/lake/views.ts'
import { ltap } from '../cli/streams.ts'
import { numbers, writeLake } from './smalllake.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-notread-'))
const lake = join(directory, 'lake')
const FOREIGN: NotRead = {
  database: 'shop', schema: 'public', name: 'remote', oid: 20000, relkind: 'f', why: 'foreign-table', reason: 'a foreign table: its rows are elsewhere',
  parents: [30001],
}
const LEFT_OUT: NotRead = { ...FOREIGN, name: 'big\nnews', oid: 20001, relkind: 'r', why: 'excluded', reason: 'left out by --exclude', parents: [] }
let manifest: Manifest

function store(value: object): void {
  writeFileSync(join(lake, 'ltap.json'), JSON.stringify(value))
}

beforeAll(async () => {
  const written = await writeLake(lake, [
    { name: 't', columns: ['id'], files: [{ select: numbers(3), hidden: [1] }] },
    { name: 'parent', oid: 30000, relkind: 'p', columns: ['id'], path: '', forks: {} },
    { name: 'middle', oid: 30001, relkind: 'p', columns: ['id'], path: '', forks: {}, parents: [30000] },
    { name: 'leaf', columns: ['id'], files: [{ select: numbers(2) }], parents: [30001] },
  ])
  manifest = { ...written, notRead: [FOREIGN, LEFT_OUT] }
  store(manifest)
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('relations that were not read', () => {
  it('are in the manifest; an older lake has no list', () => {
    expect(parseManifest(readFileSync(join(lake, 'ltap.json'), 'utf8')).notRead).toEqual([FOREIGN, LEFT_OUT])
    const { notRead: _, ...old } = manifest
    expect(parseManifest(JSON.stringify(old)).notRead).toEqual([])
    for (const notRead of [{}, [1], [null], [{ ...FOREIGN, name: 1 }], [{ ...FOREIGN, oid: 'x' }]]) {
      expect(() => parseManifest(JSON.stringify({ ...manifest, notRead }))).toThrow(/lake.manifest.*notRead/)
    }
  })

  it('are comments in views.sql, a line each', () => {
    const lines = [...viewsFile(manifest)].join('').split('\n')
    expect(lines).toContain('-- Not in the lake: shop.public.remote: a foreign table: its rows are elsewhere')
    expect(lines).toContain('-- Not in the lake: shop.public.big\\nnews: left out by --exclude')
  })

  it('are in the report of verify; --strict makes those that nobody left out a no', async () => {
    const plain = await ltap(['verify', '--lake', lake])
    expect(plain.stdout).toContain('not read   2 relations\n')
    expect(plain.stdout).toContain('relation not read: shop.public.remote: a foreign table')
    expect(plain.stderr).toBe('')
    const json = await ltap(['verify', '--lake', lake, '--json'])
    expect(json.stderr).toBe('ltap: warning: 1 relation of the cluster is not in the lake: shop.public.remote: a foreign table: its rows are elsewhere\n')
    expect(JSON.parse(json.stdout)).toMatchObject({ notRead: [FOREIGN, LEFT_OUT] })
  })

  it('are missed by the views of their parents, which say so', async () => {
    const lines = [...viewsFile(manifest)].join('').split('\n')
    for (const name of ['parent', 'middle']) {
      const at = lines.indexOf(`CREATE OR REPLACE VIEW "public"."${name}" AS`)
      expect(lines[at - 1]).toBe(`-- public.${name} lacks the rows of shop.public.remote: a foreign table: its rows are elsewhere`)
    }
    const whole = await ltap(['query', '--lake', lake, '--format', 'csv', 'select count(*) as n from leaf'])
    expect(whole).toEqual({ code: 0, stdout: 'n\n2\n', stderr: '' })
    const lacking = await ltap(['query', '--lake', lake, '--format', 'csv', 'select count(*) as n from parent'])
    expect(lacking).toMatchObject({ code: 0, stdout: 'n\n2\n', stderr: expect.stringMatching(/public.parent lacks the rows of shop.public.remote: a foreign table/) })
  })

  it('are named when a query asks for them, and only then', async () => {
    const query = (sql: string): Promise<unknown> => queryLake({ lake, sql, format: 'csv' }, async () => {})
    await expect(query('SELECT * FROM remote')).rejects.toThrow(/not in the lake: shop.public.remote: a foreign table/)
    await expect(query('SELECT * FROM other')).rejects.not.toThrow(/remote/)
  })
})
