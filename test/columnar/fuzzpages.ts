import fc from 'fast-check'
import { expect } from 'vitest'
import { Batch } from '../../src/columnar/batch.ts'
import type { RowVisibility } from '../../src/columnar/decodepage.ts'
import { PageFormer } from '../../src/columnar/formpage.ts'
import { PageTranscoder, type PageTranscoderOptions } from '../../src/columnar/pagetranscoder.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { relationSchema, type RelationSchema } from '../../src/columnar/schema.ts'
import type { ToastSource } from '../../src/tuple/toastsource.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { isZeroPage, newPageBuffer, pageChecksum } from '../../src/page/index.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { Snapshot } from '../../src/xact/snapshot.ts'
import { canonicalOf, table, VISIBILITY } from '../support/arbitrarypages.ts'
import { damagePage } from '../support/pagedamage.ts'
import { Random } from '../support/random.ts'
import { clusterOf, relationOf, transcodeOptions } from '../support/relation.ts'

/** Damaged copies of one page. */
const PER_PAGE = 100
/** CPU time that one page may take, and how much the process may grow. */
const SECONDS_MAX = 1
const GROWTH_MAX = 1.5e9

const TABLES = table({ columns: 16, rows: 30, pages: 1 })

export interface FuzzReport {
  pages: number
  /** Seen as damaged, by error code. */
  codes: Map<string, number>
  /** Damage that made another valid page, and rebuilt to it. */
  valid: number
  /** Another page with the same 16-bit checksum. */
  collisions: number
  slowest: number
  growth: number
}

/** A snapshot over an arbitrary CLOG and no multixacts: most damaged xids are not its. */
function someSnapshot(): RowVisibility {
  const none = { page: () => undefined }
  const clog = Uint8Array.from({ length: 8192 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)
  const multixacts = new MultiXacts({ offsets: none, members: none, oldestMulti: 1, nextMulti: 1, nextMultiOffset: 0 })
  return new Snapshot({ clog: { page: () => clog }, multixacts, nextXid: { low: 6000, epoch: 0 }, oldestXid: 3, prepared: new Set([700, 701]) })
}

/** A page without damage, and what its relation is. */
export interface FuzzSource {
  name: string
  page: Uint8Array
  schema: RelationSchema
  visibility: RowVisibility
  toast: ToastSource | undefined
}

/**
 * Damages `count` pages of arbitrary tables, each table from a number of its own, and checks what is promised: with checksums a
 * page.checksum error, without a CorruptionError or the equal canonical page, carried pages verbatim and hidden.
 */
export function fuzzPages(count: number, seed: number): FuzzReport {
  return fuzzSources(count, seed, (number, dice) => {
    const t = fc.sample(TABLES, { seed: number, numRuns: 1 })[0]!
    if (t.pages[0]!.tuples.filter((tuple) => tuple).length < 3) return undefined
    const schema = relationSchema({ major: 17, profile: 'portable', encoding: 6, desc: t.desc, displayScales: {}, pageFlags: 0 })
    const visibility = dice.int(12) ? VISIBILITY : someSnapshot()
    return { name: `seed ${number}`, page: t.pages[0]!.bytes, schema, visibility, toast: t.toast }
  })
}

/** The same for pages from anywhere. */
export function fuzzSources(count: number, seed: number, sourceOf: (number: number, dice: Random) => FuzzSource | undefined): FuzzReport {
  const report: FuzzReport = { pages: 0, codes: new Map(), valid: 0, collisions: 0, slowest: 0, growth: 0 }
  const before = process.memoryUsage.rss()
  for (let n = 0; report.pages < count; n++) {
    const dice = new Random(seed + n)
    const source = sourceOf(seed + n, dice)
    if (source) fuzzPage(source, dice, report)
    report.growth = Math.max(report.growth, process.memoryUsage.rss() - before)
  }
  expect(report.growth).toBeLessThan(GROWTH_MAX)
  return report
}

function fuzzPage({ name, page: original, schema, visibility, toast }: FuzzSource, dice: Random, report: FuzzReport): void {
  const options: PageTranscoderOptions = { visibility, checksums: false, onCorrupt: 'carry', ...(toast && { toast }) }
  const transcoder = new PageTranscoder(schema, options)
  const checked = new PageTranscoder(schema, { ...options, checksums: true, onCorrupt: 'fail' })
  const pages: Uint8Array<ArrayBuffer>[] = []
  for (let block = 0; block < PER_PAGE; block++) {
    const page = damagePage(original, dice)
    pages.push(page)
    report.pages++
    try {
      add(transcoder, page, block, report)
      checkWithChecksums(checked, original, page, block, report)
      if (block % 10 === 0) checkAlone(schema, options, page, transcoder.damaged.at(-1)?.block === block)
    } catch (error) {
      throw new Error(`${name}, page ${block}: ${String(error)}`, { cause: error })
    }
  }
  expect(() => checkBatch(transcoder, pages, report), name).not.toThrow()
  if (dice.int(8) === 0) checkFile(schema, pages, options, name)
}

function add(transcoder: PageTranscoder, page: Uint8Array<ArrayBuffer>, block: number, report: FuzzReport): void {
  const start = process.cpuUsage()
  transcoder.add(new Int32Array(page.buffer), 0, block)
  const { user, system } = process.cpuUsage(start)
  const seconds = (user + system) / 1e6
  report.slowest = Math.max(report.slowest, seconds)
  expect(seconds).toBeLessThan(SECONDS_MAX)
}

function checkWithChecksums(transcoder: PageTranscoder, original: Uint8Array, damaged: Uint8Array, block: number, report: FuzzReport): void {
  const stored = pageChecksum(original, block)
  const page = damaged.slice()
  new DataView(page.buffer).setUint16(8, stored, true)
  const same = original.slice()
  same.set(page.subarray(8, 10), 8)
  if (Buffer.compare(page, same) === 0 || isZeroPage(page)) return
  if (pageChecksum(page, block) === stored) {
    report.collisions++
    return
  }
  expect(errorOf(transcoder, page, block)?.code).toBe('page.checksum')
}

function errorOf(transcoder: PageTranscoder, page: Uint8Array<ArrayBuffer>, block: number): CorruptionError | undefined {
  try {
    transcoder.add(new Int32Array(page.buffer), 0, block)
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptionError)
    return error as CorruptionError
  }
}

/** Without 'carry', and with nothing decoded before, the outcome is the same; but damaged TOAST pointers, missing chunks, and chunks that do not expand are an error then, with it they cost one value. */
function checkAlone(schema: RelationSchema, options: PageTranscoderOptions, page: Uint8Array<ArrayBuffer>, isDamaged: boolean): void {
  const error = errorOf(new PageTranscoder(schema, { ...options, onCorrupt: 'fail' }), page.slice(), 0)
  const costsOneValue = error !== undefined && /^(?:toast\.(?:value|pointer)|compression\.)/.test(error.code) && !isDamaged
  expect(error !== undefined && !costsOneValue, String(error)).toBe(isDamaged)
  if (error) expect(error.position.block).toBe(0)
}

/** Forms every page of the batch: the canonical page, or a damaged one as it was, in one hidden row. */
function checkBatch(transcoder: PageTranscoder, pages: readonly Uint8Array[], report: FuzzReport): void {
  const damaged = new Map(transcoder.damaged.map(({ block, error }) => [block, error]))
  const batch = new Batch(transcoder.schema, transcoder.takeRowGroup().vectors)
  const hidden = new Set(transcoder.hidden)
  const former = new PageFormer(batch, true)
  const formed = newPageBuffer()
  const { block: blocks } = batch.physical
  let first = 0
  pages.forEach((page, block) => {
    let end = first
    while (end < batch.rows && blocks.words[end * 2] === block) end++
    const form = former.form(first, end, block, formed)
    const error = damaged.get(block)
    expect(form, `page ${block}`).toBe(error === undefined ? 'canonical' : 'verbatim')
    expect(Buffer.compare(formed.bytes, error === undefined ? canonicalOf(page) : page), `page ${block}`).toBe(0)
    if (error === undefined) report.valid++
    else {
      expect(end - first).toBe(1)
      expect(hidden.has(first)).toBe(true)
      const code = error.slice(0, error.indexOf(':'))
      report.codes.set(code, (report.codes.get(code) ?? 0) + 1)
    }
    first = end
  })
  expect(first).toBe(batch.rows)
}

/** All of them through a Parquet file. */
function checkFile({ context }: RelationSchema, pages: readonly Uint8Array[], options: PageTranscoderOptions, name: string): void {
  const all = new Uint8Array(pages.length * 8192)
  pages.forEach((page, block) => all.set(page, block * 8192))
  const relation = { ...relationOf(context.desc, pages.length), encoding: context.encoding }
  const cluster = { ...clusterOf(false), major: context.major }
  const { parquet, damaged } = transcodePages(relation, all, transcodeOptions({ ...options, cluster }))
  const carried = new Set(damaged.map(({ block }) => block))
  const rebuilt = rebuildPages(parquet)
  pages.forEach((page, block) => {
    const found = rebuilt.subarray(block * 8192, (block + 1) * 8192)
    expect(Buffer.compare(found, carried.has(block) ? page : canonicalOf(page)), `${name}, page ${block} of the file`).toBe(0)
  })
}
