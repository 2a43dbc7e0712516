/**
 * What a lake keeps of a published table, as a stranger forges it with every checksum right: each member is refused with its name, or what is made of it is
 * read back. Nothing else happens: no error of another kind, no asserted state.
 */
import { expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import { utf8Encode } from '../../src/common/utf8.ts'
import { deltaFormat } from '../../src/lake/delta/format.ts'
import type { KeptDelta } from '../../src/lake/delta/kept.ts'
import { icebergFormat } from '../../src/lake/iceberg/format.ts'
import { decodeRecord, type PublicationRecord, recordOf } from '../../src/lake/publishedentry.ts'
import type { TableSnapshot } from '../../src/lake/publishedtable.ts'
import type { TableFormat } from '../../src/lake/tableformat.ts'
import { CANARIES, type Mutant, mutants, refusalProblem } from '../support/forge.ts'
import { ChangingTable, column, FOLDER, NumberedNames } from '../support/publishedtables.ts'
import { Random } from '../support/random.ts'

const COLUMNS = [
  column(1, 'id', { kind: 'long' }),
  column(2, 'parts', { kind: 'list', element: { kind: 'struct', fields: [{ name: 'x', type: { kind: 'int' } }] } },
    [column(3, 'element', { kind: 'struct', fields: [{ name: 'x', type: { kind: 'int' } }] }, [column(4, 'x', { kind: 'int' })])]),
  column(5, 'words', { kind: 'map', value: { kind: 'string' } }, [column(6, 'key', { kind: 'string' }), column(7, 'value', { kind: 'string' })]),
]
const window = { snapshots: 4, ms: 1e15 }
const FORMATS = {
  iceberg: icebergFormat({ formatVersion: 2, window, ltapVersion: '0.1.0' }),
  third: icebergFormat({ formatVersion: 3, window, ltapVersion: '0.1.0' }),
  delta: deltaFormat({ window, ltapVersion: '0.1.0' }),
}

interface Recorded { record: PublicationRecord; format: TableFormat; next: TableSnapshot; uuid: string }

async function recorded(name: keyof typeof FORMATS, steps: number, seed = 11): Promise<Recorded> {
  const format = FORMATS[name]
  const table = new ChangingTable(new Random(seed), COLUMNS)
  const names = new NumberedNames()
  let made: unknown
  let last = table.next()
  for (let step = 0; step < steps; step++, last = table.next()) ({ record: made } = await format.next(made, last, names))
  return { record: { publishedMs: last.publishedMs - 1, [name === 'third' ? 'iceberg' : name]: made }, format, next: last, uuid: last.uuid }
}

/** All that ltap makes of a record. */
async function use(json: string, { format, next, uuid }: Recorded): Promise<void> {
  const bytes = utf8Encode(json)
  const ref = { key: 'ltap/parts/x', start: 0, length: bytes.length, crc: crc32c(bytes) }
  const record = decodeRecord(bytes, ref)
  const name = record.iceberg === undefined ? 'delta' : 'iceberg'
  const table = { uuid, folder: FOLDER, publishedMs: record.publishedMs }
  if (record[name] === undefined) return
  const parsed = format.parse(record[name], recordOf(ref), name, table)
  await format.commit(parsed, next)
  const snapshot = { ...next, publishedMs: Math.max(next.publishedMs, record.publishedMs + 1) }
  const made = [format.expire(parsed, snapshot.publishedMs, next), await format.next(parsed, snapshot, new NumberedNames())]
  // What the writer makes, its reader takes.
  for (const staged of made) {
    await format.commit(staged.record, next)
    format.parse(JSON.parse(JSON.stringify(staged.record)), recordOf(ref), name, { ...table, publishedMs: snapshot.publishedMs })
  }
}

/** What is too deep is refused before anything looks at its members. */
function problemOf(error: unknown, mutant: Mutant): string | undefined {
  if (mutant.canary.startsWith('[[[') && String(error).includes('more than 256 lists')) return undefined
  // A long name is cut.
  return refusalProblem(error, mutant.path.includes('delete-after-commit') ? { ...mutant, member: 'delete-after-commit' } : mutant)
}

test.each(['iceberg', 'third', 'delta'] as const)('%s: each member with each canary is refused, or its use ends well', async (name) => {
  const good = await recorded(name, 6)
  await use(JSON.stringify(good.record), good)
  const faults: string[] = []
  let refused = 0
  for (const mutant of mutants(JSON.parse(JSON.stringify(good.record)), CANARIES)) {
    try {
      await use(mutant.json, good)
    } catch (error) {
      const problem = problemOf(error, mutant)
      if (problem === undefined) refused++
      else faults.push(`${mutant.path} = ${mutant.canary.slice(0, 60)}: ${problem}`)
    }
  }
  expect(faults.slice(0, 20)).toEqual([])
  expect(refused).toBeGreaterThan(1000)
})

test('of Delta: paths that lead elsewhere, vectors of other names, text that is no JSON', async () => {
  let good: Recorded
  let inFile: number
  let inline: number
  for (let seed = 0; ; seed++) {
    good = await recorded('delta', 3, seed)
    const { newest: { files: made } } = good.record.delta as KeptDelta
    inFile = made.findIndex(({ deletionVector }) => deletionVector?.storageType === 'u')
    inline = made.findIndex(({ deletionVector }) => deletionVector?.storageType === 'i')
    if (inFile >= 0 && inline >= 0) break
  }
  const forged: [string, (record: { newest: Record<string, unknown> & { files: Record<string, unknown>[]; metaData: Record<string, unknown> } }) => void, RegExp][] = [
    ['a path', ({ newest: { files } }) => { files[0]!['path'] = '../other/x.parquet' }, /newest\.files\[0\]\.path is "\.\.\/other/],
    ['a path elsewhere', ({ newest: { files } }) => { files[0]!['path'] = 'file:///etc/passwd' }, /newest\.files\[0\]\.path is "file:/],
    ['a vector without a name', ({ newest: { files } }) => { Object.assign(files[inFile]!['deletionVector']!, { pathOrInlineDv: 'x' }) }, /deletionVector\.pathOrInlineDv is "x", not the name of an object/],
    ['a vector of another name', ({ newest: { files } }) => {
      const vector = files[inFile]!['deletionVector'] as { pathOrInlineDv: string }
      vector.pathOrInlineDv = `${vector.pathOrInlineDv.slice(0, -1)}${vector.pathOrInlineDv.endsWith('0') ? '1' : '0'}`
    }, /pathOrInlineDv/],
    ['a digest alone', ({ newest: { files } }) => { files[inline]!['sha256'] = 'a'.repeat(64) }, /\.sha256 contradicts/],
    ['a vector without its digest', ({ newest: { files } }) => { delete files[inFile]!['sha256'] }, /\.sha256 contradicts/],
    ['too short a vector', ({ newest: { files } }) => { Object.assign(files[inline]!['deletionVector']!, { sizeInBytes: 9999 }) }, /characters, but its size makes/],
    ['no JSON', ({ newest: { metaData } }) => { metaData['schemaString'] = '{' }, /metaData\.schemaString of .* is not JSON/],
    ['deep JSON', ({ newest: { metaData } }) => { metaData['schemaString'] = `${'['.repeat(1e5)}${']'.repeat(1e5)}` }, /more than 256 lists/],
    ['a type of no kind', ({ newest: { metaData } }) => { metaData['schemaString'] = (metaData['schemaString'] as string).replace('"long"', '"int128"') }, /fields\[0\]\.type is "int128", not a type of Delta/],
    ['statistics', ({ newest: { files } }) => { files[0]!['stats'] = '[1]' }, /files\[0\]\.stats/],
    ['an LSN', ({ newest: record }) => { record['lsn'] = 'FFFFFFFF/0' }, /newest\.lsn is "FFFFFFFF\/0", not an LSN below/],
    ['a time', ({ newest: record }) => { record['timestamp'] = 9e15 }, /newest\.timestamp/],
    ['objects', ({ newest: record }) => { record['objects'] = ['x/y'] }, /newest\.objects/],
  ]
  for (const [what, change, said] of forged) {
    const record = structuredClone(good.record) as { delta: Parameters<typeof change>[0] }
    change(record.delta)
    const refusal = await use(JSON.stringify(record), good).then(() => `${what} was taken`, String)
    expect(refusal).toMatch(said)
  }
})
