/**
 * Each field of page header, line pointer, tuple header, varlena and WAL headers has one home in src: ARCHITECTURE.md maps them, docs/formats has
 * their offsets. A second home is a constant of the same meaning, or an offset written as a number.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readDoc, ROOT, tablesOf } from './support/docstables.ts'

interface Home {
  structure: string
  file: string
  field: string
  symbol: string
}

const homes: Home[] = tablesOf(readDoc('ARCHITECTURE.md')).find(({ columns }) => columns[2] === 'field: symbol')!.rows.flatMap((row) =>
  [...row['field: symbol']!.matchAll(/(\w+): `(\w+)`/g)].map(([, field, symbol]) => ({ structure: row['structure']!, file: row['home']!, field: field!, symbol: symbol! })))

/** Offsets by field, of the tables of docs/formats. */
const offsets = new Map(['heap-page', 'tuple', 'wal-record'].flatMap((page) => tablesOf(readDoc(`docs/formats/${page}.md`)))
  .flatMap(({ rows }) => rows.filter((row) => row['symbol'] !== undefined && row['field'] !== undefined).map((row) => [row['field']!, row])))

const sources = new Map(readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  .map((name) => [`src/${name}`, codeOf(readFileSync(join(ROOT, 'src', name), 'utf8'))]))

/** Without comments, line by line as it was. */
function codeOf(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, '')).replace(/(^|\s)\/\/.*$/gm, '$1')
}

describe('the map', () => {
  test.each(homes)('$field is $symbol in $file', ({ file, field, symbol }) => {
    const code = sources.get(file)!
    const [, value] = new RegExp(`^(?:export )?(?:const|function|class) ${symbol}\\b(?: = (.+))?`, 'm').exec(code) ?? []
    expect(new RegExp(`^(?:export )?(?:const|function|class) ${symbol}\\b`, 'm').test(code), `${file} declares ${symbol}`).toBe(true)
    const row = offsets.get(field)
    if (row?.['byte'] !== undefined && value !== undefined && /^\d+$/.test(value)) expect(value, `offset of ${field}`).toBe(row['byte'])
    if (row) expect(symbol, `symbol of ${field} in docs/formats`).toBe(row['symbol'])
  })

  test('has every field of the tables', () => {
    const mapped = new Set(homes.map(({ field }) => field))
    expect([...offsets.keys()].filter((field) => !mapped.has(field))).toEqual([])
    expect(homes.length).toBeGreaterThan(35)
  })
})

/** Files that read other structures by number, and which; they have no business with the fields of the map. */
const OTHER_STRUCTURES: Record<string, string> = {
  'src/catalog/builddesc.ts': 'ArrayType', 'src/catalog/controlfile.ts': 'ControlFileData', 'src/catalog/deparse.ts': 'a Const of a node tree',
  'src/catalog/relmap.ts': 'RelMapFile', 'src/catalog/scan.ts': 'a float4', 'src/catalog/virtualcolumns.ts': 'an oid',
  'src/columnar/filesummary.ts': 'words of a vector', 'src/lake/blockindex.ts': 'a block index', 'src/lake/pack.ts': 'a pack', 'src/lake/iceberg/snapshot.ts': 'words of a hash',
  'src/lake/deletionvector.ts': 'a deletion vector', 'src/lake/delta/stats.ts': 'bounds of a column', 'src/service/plan/bound.ts': 'bounds of a column',
  'src/columnar/decimal.ts': 'NumericData', 'src/columnar/decimalsource.ts': 'NumericData', 'src/replay/pagestore/journal.ts': 'frames of the journal',
  'src/io/seed/indexpage.ts': 'special areas', 'src/jobs/inspect/controltext.ts': 'ControlFileData', 'src/jobs/inspect/versionspill.ts': 'spilled versions',
  'src/jobs/tasks/verifytask.ts': 'words of a vector', 'src/page/checksum.ts': 'lanes of the checksum', 'src/redo/storage.ts': 'RelMapFile',
  'src/replay/replay.ts': 'xl_end_of_recovery', 'src/vector/vector.ts': 'words of a vector', 'src/wal/maindata.ts': 'main data', 'src/tuple/toastchunk.ts': 'a row of a TOAST relation',
  'src/page/heappage.ts': 'offset numbers of a prune record', 'src/redo/heap.ts': 'xl_heap_header',
}
const OTHER_FOLDERS = /^src\/(?:common|datum|parquet|xact|io\/compression|wal\/text)\/|^src\/wal\/(?:clog|committs|dbase|heap|heap2|heapprune|multixact|relmap|smgr|standby|tblspc|xact|xlog|sequence)\.ts$/
/** Numbers that look like offsets of fields: the second byte or word of a value, fields of xl_heap_header and of xl_overwrite_contrecord, words of a vector. */
const LEFT: Record<string, number> = {
  'src/columnar/decodepage.ts': 1, 'src/columnar/formpage.ts': 3, 'src/columnar/formtuple.ts': 1, 'src/columnar/generatedecoder.ts': 4,
  'src/columnar/generateformer.ts': 3, 'src/redo/tuplechange.ts': 3, 'src/wal/reader.ts': 2,
}

/** Calls and indices whose offset is a number, or something plus a number; parts of a named field (`T_CTID + 2`) are fine. */
const RAW = [
  /\b(?:get|set)(?:Uint|Int|BigUint|BigInt|Float)\d+\(([^(),]*\+ )?(?:0x[0-9a-f]+|\d+)\b/g,
  /\b(?:read|write)[UI]\d+\(\w+(?:\.\w+)*, ([^(),]*\+ )?(?:0x[0-9a-f]+|\d+)[,)]/g,
  /\b(?:page|bytes|tuple|halves|words|source|memory)(?:\.\w+)?!?\[([^[\]]*\+ )?\$?\{?\d+\b/g,
  /\bsetU(?:8|16|32)\(([^(),]*\+ )?\d+\b/g,
]
const SYMBOLS = new Set(homes.map(({ symbol }) => symbol))
/** Field names as they would be called in another file, in capitals and without their prefix. */
const PLAIN_NAMES = new Set(homes.map(({ field }) => field.replace(/^(?:pd|t|lp|xlp|xl)_/, '').toUpperCase()))

/** Second homes in a file, as `line: code`. */
function secondHomes(file: string, code: string): string[] {
  const found: string[] = []
  for (const [i, line] of code.split('\n').entries()) {
    const [, name = '', value = ''] = /^(?:export )?const (\w+)(?:: \w+)? = (.+)$/.exec(line) ?? []
    const isHome = homes.some((home) => home.file === file && home.symbol === name)
    const isPlain = PLAIN_NAMES.has(name) && /^(?:0x)?[\da-f]+$/.test(value) && !OTHER_FOLDERS.test(file)
    if (SYMBOLS.has(name) && !isHome || isPlain) found.push(`${i + 1}: ${line.trim()}`)
    if (homes.some((home) => home.file === file) || OTHER_STRUCTURES[file] !== undefined || OTHER_FOLDERS.test(file)) continue
    for (const pattern of RAW) {
      for (const [text, base = ''] of line.matchAll(pattern)) if (!/\b[A-Z][A-Z0-9_]+\b/.test(base)) found.push(`${i + 1}: ${text}`)
    }
  }
  return found
}

describe('second homes', () => {
  test.each([...sources].filter(([file]) => LEFT[file] === undefined))('%s has none', (file, code) => {
    expect(secondHomes(file, code), file).toEqual([])
  })

  test('are found', () => {
    const planted = [
      'const XL_PREV = 8', 'export const PD_LOWER = 12', 'const INFOMASK = 20', 'const lower = view.getUint16(12, true)', 'const xmax = readU32(page, off + 4)',
      'const hoff = bytes[start + 22]!', 'const lsn = words[1]', 'source += `bytes[start + ${23 + i}]`', 'out.setU32(start + 4, xmax)',
    ]
    for (const line of planted) expect(secondHomes('src/io/x.ts', codeOf(`// a comment\n${line}`)), line).toHaveLength(1)
    for (const line of ['view.setUint16(start + T_CTID + 2, 1, true)', 'const LSN = PD_LSN >> 2', '// readU32(page, 4)', 'readU16(page, PD_FLAGS)']) {
      expect(secondHomes('src/io/x.ts', codeOf(line)), line).toEqual([])
    }
  })

  test.each(Object.entries(LEFT))('%s has %i at most', (file, most) => {
    expect(secondHomes(file, sources.get(file) ?? '').length).toBeLessThanOrEqual(most)
  })
})
