/** A page store over files that are not on a disk: what its port promises is all that it needs. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../src/common/rel.ts'
import { segmentPath } from '../../src/common/relpath.ts'
import { createStore, loadStore } from '../../src/replay/pagestore/loadstore.ts'
import type { OpSink, StoreOp } from '../../src/replay/pagestore/ops.ts'
import type { StoreFiles } from '../../src/replay/pagestore/storefiles.ts'
import { applyToModel, applyToStore, arbitraryOp, emptyModel, IDENTITY, modelOfStore, settleModel, visibleParts } from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'
import { TEST_SEED } from '../support/random.ts'

const SMALL_CACHE = { cacheBytes: 256 * BLOCK_SIZE }

/** Files by path. A commit that is cut short leaves no trace. */
class MemoryFiles implements StoreFiles {
  readonly root = 'memory'
  /** After so many operations of a commit it fails. */
  failAfter = Infinity
  private files = new Map<string, Uint8Array>()
  private directories = new Set<string>([''])

  nameOf(path: string): string {
    return `memory:${path}`
  }

  exists(path: string): boolean {
    return this.files.has(path) || this.directories.has(path)
  }

  list(path: string): string[] {
    const names = [...this.files.keys(), ...this.directories].filter((name) => name.startsWith(`${path}/`)).map((name) => name.slice(path.length + 1))
    return names.filter((name) => name !== '' && !name.includes('/')).sort()
  }

  size(path: string): number {
    return this.readFile(path).length
  }

  readFile(path: string): Uint8Array {
    return this.files.get(path)!
  }

  readPart(path: string, at: number, into: Uint8Array): number {
    const bytes = this.files.get(path)?.subarray(at, at + into.length) ?? new Uint8Array(0)
    into.set(bytes)
    return bytes.length
  }

  blocks(path: string): number | undefined {
    const size = this.files.get(path)?.length
    return size === undefined ? undefined : Math.floor(size / BLOCK_SIZE)
  }

  readPage(path: string, block: number, into: Uint8Array): void {
    if (this.readPart(path, block * BLOCK_SIZE, into) !== BLOCK_SIZE) throw new Error(`${path}: no block ${block}`)
  }

  apply(op: StoreOp, data: Uint8Array = new Uint8Array(0)): void {
    switch (op.op) {
      case 'remove-directory':
        for (const name of this.below(op.path)) this.forget(name)
        return
      case 'make-directory':
        this.makeDirectory(op.path)
        return
      case 'adopt-directory': {
        for (const name of this.below(op.path)) this.forget(name)
        this.makeDirectory(op.path)
        for (const name of this.below(op.from)) {
          if (this.files.has(name)) this.files.set(op.path + name.slice(op.from.length), this.files.get(name)!)
          this.forget(name)
        }
        return
      }
      case 'remove-fork':
        this.files.delete(op.path)
        return
      case 'resize-fork': {
        // The tests have no fork of more than a segment.
        expect(op.blocks).toBeLessThan(SEGMENT_BLOCKS)
        expect(this.exists(segmentPath(op.path, 1))).toBe(false)
        this.write(op.path, 0, data, Math.min(op.keep, op.blocks) * BLOCK_SIZE, op.blocks * BLOCK_SIZE)
        return
      }
      case 'write-pages':
        this.write(op.path, op.first * BLOCK_SIZE, data, this.files.get(op.path)?.length ?? 0)
        return
      case 'write-file':
        this.write(op.path, 0, data, 0)
        return
      case 'write-part':
        this.write(op.path, op.at, data, this.files.get(op.path)?.length ?? 0)
        return
      case 'remove-file':
        this.files.delete(op.path)
    }
  }

  copyFiles(from: string, to: string, keeps: (name: string) => boolean): void {
    for (const name of this.list(from)) if (keeps(name)) this.files.set(`${to}/${name}`, this.files.get(`${from}/${name}`)!.slice())
  }

  sync(): void {
    // Memory has nothing behind it.
  }

  commit(fill: (add: OpSink) => void): void {
    const before = { files: new Map(this.files), directories: new Set(this.directories) }
    const ops: [StoreOp, Uint8Array | undefined][] = []
    fill((op, data) => ops.push([structuredClone(op), data?.slice()]))
    for (const [i, [op, data]] of ops.entries()) {
      if (i >= this.failAfter) {
        this.files = before.files
        this.directories = before.directories
        throw new Error('cut short')
      }
      this.apply(op, data)
    }
  }

  close(): void {
    // Nobody else has it.
  }

  private below(path: string): string[] {
    return [...this.files.keys(), ...this.directories].filter((name) => name === path || name.startsWith(`${path}/`))
  }

  private forget(name: string): void {
    this.files.delete(name)
    this.directories.delete(name)
  }

  private makeDirectory(path: string): void {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) this.directories.add(path.slice(0, at))
    this.directories.add(path)
  }

  /** New memory each time: what {@link commit} keeps of before stays. @param kept of the bytes that were there @param least length of the file */
  private write(path: string, at: number, data: Uint8Array, kept: number, least: number = kept): void {
    const bytes = new Uint8Array(Math.max(least, at + data.length))
    bytes.set(this.files.get(path)?.subarray(0, kept) ?? [])
    bytes.set(data, at)
    this.files.set(path, bytes)
  }
}

test(`random operations, flushes that succeed or fail, and reopenings, seed ${TEST_SEED}`, () => {
  let cuts = 0
  const step = fc.tuple(arbitraryOp, fc.nat(30))
  fc.assert(fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
    const files = new MemoryFiles()
    createStore(files, IDENTITY, progressAt(100))
    let store = loadStore(files, SMALL_CACHE)
    let model = emptyModel()
    let flushed = structuredClone(model)
    let inits = new Set<string>()
    let lsn = 100
    const reopen = (): void => {
      store.close()
      store = loadStore(files, SMALL_CACHE)
      model = structuredClone(flushed)
      inits = new Set()
    }
    for (const [op, failAfter] of steps) {
      lsn += 8
      if (op.op === 'reopen') {
        reopen()
      } else if (op.op !== 'flush') {
        applyToStore(store, op, lsn)
        applyToModel(model, op, inits)
      } else {
        files.failAfter = failAfter < 8 ? failAfter : Infinity
        try {
          store.flush(progressAt(lsn))
          settleModel(model, inits)
          flushed = structuredClone(model)
        } catch (error) {
          expect(String(error)).toContain('cut short')
          cuts++
          reopen()
        }
        expect(visibleParts(modelOfStore(store))).toEqual(visibleParts(model))
      }
    }
    expect(visibleParts(modelOfStore(store))).toEqual(visibleParts(model))
  }), { seed: TEST_SEED, numRuns: 30 })
  expect(cuts).toBeGreaterThan(0)
})
