/** Pages of pg_xact that the disk does not give: lost if one goes on at damage, an error else; what is not allowed is an error always. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { FileSlru } from '../../../src/io/datadir/slru.ts'

const folder = mkdtempSync(join(tmpdir(), 'ltap-slru-'))
writeFileSync(join(folder, '0000'), new Uint8Array(8192).fill(5))
mkdirSync(join(folder, '0001'))
symlinkSync('0002', join(folder, '0002'))
truncateSync(join(folder, '0000'), 8192 + 10)
afterAll(() => rmSync(folder, { recursive: true }))

test('a page that cannot be read', () => {
  const lost = new FileSlru(folder, 4, 'lost')
  expect(lost.page(0)).toEqual(new Uint8Array(8192).fill(5))
  expect([lost.page(1)!.length, lost.page(2), lost.problem(2)]).toEqual([10, undefined, undefined])
  expect([lost.page(32), lost.problem(32)]).toEqual([undefined, 'cannot be read (a folder where a file is expected)'])
  expect(() => new FileSlru(folder).page(32)).toThrow(/^file.error: a folder where a file is expected/)
})

test('what is not damage is an error in both ways', () => {
  for (const way of ['lost', 'fail'] as const) expect(() => new FileSlru(folder, 4, way).page(64)).toThrow(/^file.link/)
})
