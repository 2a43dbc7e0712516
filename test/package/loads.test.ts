/** What an import of the built package loads of other packages: a page needs no Arrow. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

const HOOK = `import { writeSync } from 'node:fs'
export async function load(url, context, next) {
  if (url.includes('/node_modules/')) writeSync(1, url + '\\n')
  return next(url, context)
}`

/** Names of the packages, in order. */
function loadedBy(entry: string, then = ''): string[] {
  const script = `import { register } from 'node:module'
    register('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(HOOK))})
    const module = await import(${JSON.stringify(entry)})
    ${then}`
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT, encoding: 'utf8' })
  return [...new Set(printed.split('\n').flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []))].sort()
}

/** zstd of WAL images, and the schemas of what is kept in files. */
const SMALL = ['fzstd', 'valibot']

test.each(['common', 'page', 'tuple', 'vector', 'datum'])('ltap/%s', (floor) => {
  expect(loadedBy(`ltap/${floor}`).filter((name) => name !== 'valibot')).toEqual([])
})

test.each(['wal', 'redo', 'xact', 'catalog', 'replay'])('ltap/%s', (floor) => {
  expect(loadedBy(`ltap/${floor}`).filter((name) => !SMALL.includes(name))).toEqual([])
})

test.each(['ltap', 'ltap/io', 'ltap/jobs', 'ltap/lake', 'ltap/engine', 'ltap/history'])('%s loads no Arrow, no Parquet, and nothing of threads, terminals or DuckDB', (entry) => {
  expect(loadedBy(entry).filter((name) => !SMALL.includes(name))).toEqual([])
})

test('what needs Arrow and Parquet loads them: transcodePages of ltap, and a task of ltap/jobs', () => {
  expect(loadedBy('ltap', 'await module.rebuildPages(new Uint8Array(8)).catch(() => {})')).toEqual(expect.arrayContaining(['apache-arrow', 'parquet-wasm']))
  expect(loadedBy('ltap/jobs', "await module.runTask('checkFile', {}).catch(() => {})")).toEqual(expect.arrayContaining(['apache-arrow', 'parquet-wasm']))
  expect(loadedBy('ltap/columnar')).toEqual(expect.arrayContaining(['apache-arrow', 'parquet-wasm']))
})

test('ltap/io loads the AWS SDK when an s3:// store is opened, and no sooner', () => {
  expect(loadedBy('ltap/io').filter((name) => name.startsWith('@aws-sdk') || name.startsWith('@smithy'))).toEqual([])
  expect(loadedBy('ltap/io', "await module.openObjectStore('s3://lake/x', { endpoint: 'http://localhost:1' })")).toContain('@aws-sdk/client-s3')
})
