import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const root = mkdtempSync(join(tmpdir(), 'ltap-regular-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const FILES = resolve(import.meta.dirname, '../../../dist/io/disk')

/** In another process, with a watchdog: what waits for a FIFO's writer cannot be interrupted. test/long/regularfiles has each file of each verb. */
test('a FIFO, a device and a folder are no files', () => {
  execFileSync('mkfifo', [join(root, 'fifo')])
  symlinkSync('/dev/zero', join(root, 'device'))
  symlinkSync(root, join(root, 'folder'))
  writeFileSync(join(root, 'file'), 'content')
  symlinkSync(join(root, 'file'), join(root, 'link'))
  const script = `
    const { readIfThere, readPart } = await import(${JSON.stringify(join(FILES, 'files.js'))})
    const { statRegular } = await import(${JSON.stringify(join(FILES, 'regularfile.js'))})
    for (const name of ['fifo', 'device', 'folder', 'file', 'link', 'absent']) {
      for (const read of [readIfThere, (path) => readPart(path, new Uint8Array(4), 4, 1), statRegular]) {
        const path = ${JSON.stringify(root)} + '/' + name
        try { const found = read(path); console.log(name, found?.size ?? found?.length ?? found) } catch (error) { console.log(name, error.code) }
      }
    }`
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 240_000, killSignal: 'SIGKILL' })
  expect(signal).toBe(null)
  const kinds = { fifo: 'file.kind', device: 'file.kind', folder: 'file.error' }
  const refused = Object.entries(kinds).flatMap(([name, code]) => [1, 2, 3].map(() => `${name} ${code}`))
  expect(stdout.trimEnd().split('\n')).toEqual([
    ...refused, ...['file', 'link'].flatMap((name) => [`${name} 7`, `${name} 4`, `${name} 7`]), 'absent undefined', 'absent undefined', 'absent ENOENT',
  ])
})
