/**
 * A bundler makes one file of a floor, and that file does in Node (as an ES module and as CommonJS) and in a browser what the package does.
 * The browser is Chromium, where it is installed (LTAP_CHROMIUM names it).
 */
import { build, type Format } from 'esbuild'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { amount, drawn } from '../support/scope.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const PAGE = '(() => { const page = Uint8Array.from({ length: 8192 }, (_, i) => i * 7); page.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 32, 0, 32, 4, 32]); return page })()'

/** What each floor is asked, as JavaScript over its exports `m`; the answer is text. */
const ASKED: Record<string, string> = {
  common: "m.formatLsn(m.parseLsn('16/B374D848')) + m.crc32c(new TextEncoder().encode('123456789'))",
  page: `String(m.pageChecksum(${PAGE}, 7))`,
  tuple: 'JSON.stringify(m.readTupleHeader(Uint8Array.from({ length: 32 }, (_, i) => i + 1), 3))',
  wal: "JSON.stringify(m.parseSegmentName('0000000200000003000000A4'))",
  vector: "(() => { const v = m.newVector({ kind: 'string' }); v.push(new TextEncoder().encode('words'), 0, 5); return String(v.length) + v.isNull(0) })()",
  datum: `(() => {
    const type = { oid: 1700, name: 'numeric', schema: 'pg_catalog', kind: 'base', len: -1, align: 4, storage: 'm', delimiter: ',' }
    const context = { major: 18, profile: 'portable', encoding: 6, types: new Map([[1700, type]]) }
    const { kind, precision, scale } = m.codecFor({ oid: 1700, typmod: -1 }, context).column
    return [kind, precision, scale].join()
  })()`,
  redo: `(() => { const page = ${PAGE}; m.maskHeapPage(page, 3); return page.reduce((sum, byte) => sum + byte, 0).toString() })()`,
  columnar: `(() => {
    const major = 18, zero = { oid: 23, typmod: -1 }
    const type = { oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base', len: 4, align: 4, storage: 'p', delimiter: ',' }
    const desc = { attributes: [{ attnum: 1, name: 'a', type: zero, len: 4, align: 4, plain: true, dropped: false, virtual: false }], types: [type] }
    const schema = m.relationSchema({ desc, major, profile: 'portable', encoding: 6, displayScales: {} })
    return schema.fields.map(({ name }) => name).join()
  })()`,
}
const FLOORS = Object.keys(ASKED)
const BUILT = FLOORS.every((floor) => existsSync(join(ROOT, 'dist', floor, 'index.js')))
if (!BUILT) console.warn('SKIPPED: bundles, because nothing is built')

const CHROMIUM = process.env['LTAP_CHROMIUM'] ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
if (CHROMIUM === undefined) console.warn('SKIPPED: bundles in a browser, because no Chromium is installed (LTAP_CHROMIUM)')

const inBrowser = drawn(FLOORS, amount({ quick: 3, sample: FLOORS.length, all: FLOORS.length }), 'floors in a browser')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-bundle-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** @returns the path of a bundle that calls `tell` with the answer */
async function bundle(floor: string, format: Format, tell: string): Promise<string> {
  const outfile = join(folder, `${floor}-${format}.${format === 'cjs' ? 'cjs' : format === 'esm' ? 'mjs' : 'js'}`)
  const contents = `import * as m from './dist/${floor}/index.js'\n${tell}(${ASKED[floor]})`
  const { warnings } = await build({
    stdin: { contents, resolveDir: ROOT }, bundle: true, platform: 'browser', format, outfile, logLevel: 'silent', target: 'es2022',
  })
  // parquet-wasm looks for its wasm beside its own module: only an ES module knows where that is. Who uses the codec in a page calls its init.
  expect(warnings.filter(({ id }) => id !== 'empty-import-meta')).toEqual([])
  return outfile
}

async function answer(floor: string): Promise<string> {
  const module = await import(join(ROOT, 'dist', floor, 'index.js')) as unknown
  return new Function('m', `return ${ASKED[floor]}`)(module) as string
}

describe.runIf(BUILT).each(FLOORS)('%s', (floor) => {
  test.each(['esm', 'cjs'] as const)('in Node as %s', async (format) => {
    const path = await bundle(floor, format, 'console.log')
    expect(readFileSync(path, 'utf8')).not.toMatch(/require\("(?:node:)?(?:fs|path|crypto|worker_threads|zlib)"\)|from "node:/)
    expect(execFileSync(process.execPath, [path], { encoding: 'utf8' }).trim()).toBe(await answer(floor))
  })

  test.runIf(CHROMIUM !== undefined && inBrowser.includes(floor))('in a browser', async () => {
    const script = await bundle(floor, 'iife', '(text => document.body.append(text))')
    const page = join(folder, `${floor}.html`)
    writeFileSync(page, `<!doctype html><meta charset="utf-8"><body><script>window.onerror = (e) => document.body.append('error: ' + e)</script><script src="${script}"></script>`)
    const ran = spawnSync(CHROMIUM!, ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${join(folder, 'profile')}`, '--dump-dom', `file://${page}`], { encoding: 'utf8' })
    const text = /<\/script>([^<]*)<\/body>/.exec(ran.stdout)?.[1]?.replaceAll('&quot;', '"')
    expect(text ?? ran.stderr).toBe(await answer(floor))
  })
})

test.runIf(BUILT)('a floor that needs Node is found', async () => {
  await expect(build({
    stdin: { contents: "import './dist/io/index.js'", resolveDir: ROOT }, bundle: true, platform: 'browser', write: false, logLevel: 'silent',
  })).rejects.toThrow(/Could not resolve "node:/)
})
