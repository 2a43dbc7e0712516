/** Damage that is undone, and what a command line must say about it. */
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { openCluster } from '../../src/io/cluster.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { linePointer, lpOff } from '../../src/page/linepointer.ts'
import { type Ran, ltap } from '../cli/streams.ts'

type Body = () => unknown

/** Runs `body` while `path` has other content; undefined: while it is missing. */
export async function whileFile(path: string, content: Uint8Array | string | undefined, body: Body): Promise<void> {
  const aside = `${path}.aside-${process.pid}`
  let original = true
  try {
    renameSync(path, aside)
  } catch {
    original = false
  }
  try {
    if (content !== undefined) writeFileSync(path, content)
    await body()
  } finally {
    rmSync(path, { force: true, recursive: true })
    if (original) renameSync(aside, path)
  }
}

/** Runs `body` while `path` holds what `change` makes of it, in place or as a new array. */
export function whileChanged(path: string, change: (bytes: Uint8Array) => Uint8Array | void, body: Body): Promise<void> {
  const bytes = new Uint8Array(readFileSync(path))
  return whileFile(path, change(bytes) ?? bytes, body)
}

/** Runs `body` while tuples of one block are changed and the page has the right checksum. */
export function whilePage(path: string, block: number, change: (page: Uint8Array) => void, body: Body): Promise<void> {
  return whileChanged(path, (bytes) => {
    const page = bytes.subarray(block * 8192, (block + 1) * 8192)
    change(page)
    new DataView(page.buffer, page.byteOffset).setUint16(8, pageChecksum(page, block), true)
  }, body)
}

/** Where the data of tuple `offset` begins in its page. */
export function tupleData(page: Uint8Array, offset: number): number {
  const start = lpOff(linePointer(page, offset))
  return start + page[start + 22]!
}

export async function whileMode(path: string, mode: number, restored: number, body: Body): Promise<void> {
  chmodSync(path, mode)
  try {
    await body()
  } finally {
    chmodSync(path, restored)
  }
}

/** Main fork of a visible relation. */
export function heapFile(pgdata: string, database: string, table: string): string {
  const cluster = openCluster(pgdata)
  const dbOid = cluster.databases.find(({ name }) => name === database)!.oid
  const relation = cluster.relations(dbOid).find(({ schema, name, visible }) => visible && `${schema}.${name}` === table)!
  return join(pgdata, cluster.relativePath(relation))
}

/** The TOAST relation's main fork. */
export function toastFile(pgdata: string, database: string, table: string): string {
  const cluster = openCluster(pgdata)
  const dbOid = cluster.databases.find(({ name }) => name === database)!.oid
  const relations = cluster.relations(dbOid)
  const owner = relations.find(({ schema, name, visible }) => visible && `${schema}.${name}` === table)!
  return join(pgdata, cluster.relativePath(relations.find(({ oid, visible }) => visible && oid === owner.toastRelId)!))
}

/** One clear line on stderr, no stack trace, no bug of ours. */
export function expectRefusal({ code, stderr: all }: Pick<Ran, 'code' | 'stderr'>, message: RegExp, expected = 3): void {
  // A slow machine shows progress.
  const stderr = all.replace(/^\w+: \d+ of \d+ pages, .*\n/gm, '')
  expect({ code, stderr }).toEqual({ code: expected, stderr: expect.stringMatching(message) as string })
  expect(stderr).toMatch(/^ltap: [^\n]+\n$/)
  expect(stderr).not.toMatch(/bug in ltap|\bat .*\.[jt]s:\d|undefined|NaN|\[object/)
}

export async function refused(argv: readonly string[], message: RegExp): Promise<void> {
  const ran = await ltap(argv)
  expectRefusal(ran, message)
  expect(ran.stdout).toBe('')
}
