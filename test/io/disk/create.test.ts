import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'

/** What link() does in this test. */
let errno: string | undefined

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const linkSync: typeof fs.linkSync = (from, to) => {
    if (errno !== undefined) throw Object.assign(new Error(errno), { code: errno, syscall: 'link' })
    fs.linkSync(from, to)
  }
  return { ...fs, linkSync }
})
const { createWhole } = await import('../../../src/io/disk/create.ts')

test.each([undefined, 'EPERM', 'ENOTSUP'])('a file appears with its content, or the name is taken (link: %s)', (code) => {
  errno = code
  const folder = mkdtempSync(join(tmpdir(), 'ltap-create-'))
  try {
    const path = join(folder, 'lock')
    expect(createWhole(path, `${path}.a`, 'first')).toBe(true)
    expect(createWhole(path, `${path}.b`, 'second')).toBe(false)
    expect(readFileSync(path, 'utf8')).toBe('first')
    expect(readdirSync(folder)).toEqual(['lock'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('another error of link() is told, and leaves no draft', () => {
  errno = 'EROFS'
  const folder = mkdtempSync(join(tmpdir(), 'ltap-create-'))
  try {
    expect(() => createWhole(join(folder, 'lock'), join(folder, 'draft'), 'x')).toThrow(/file\./)
    expect(readdirSync(folder)).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
