import * as v from 'valibot'
import { BlockSet, type BlockRun } from './blockset.ts'
import { ByteReader, writeVarint } from './bytereader.ts'
import { ByteWriter } from './bytes.ts'
import { CorruptionError } from './errors.ts'
import type { Schema } from './validate.ts'

/*
 * A set of blocks in bytes: the number of runs, then of each run
 *
 *     2 * gap + (count > 1)    gap: blocks between the end of the run before and this one; of the first run, before it. Runs do not touch, so
 *                              each later gap is counted from 1
 *     count - 2                if count > 1
 *
 * all as varints: a block by itself costs 1 byte for gaps below 64, 2 bytes below 8192, 3 bytes below 1,048,576. One set has one form.
 */

/** InvalidBlockNumber is no block (block.h). */
const BLOCKS_MAX = 0xffffffff

export function writeBlockSet({ runs }: BlockSet, out: ByteWriter): void {
  writeVarint(runs.length, out)
  let end = -1
  for (const { first, count } of runs) {
    const gap = first - end - 1
    writeVarint(gap * 2 + (count > 1 ? 1 : 0), out)
    if (count > 1) writeVarint(count - 2, out)
    end = first + count
  }
}

/** @throws CorruptionError of the reader's structure, for what writeBlockSet does not write */
export function readBlockSet(reader: ByteReader): BlockSet {
  const runs: BlockRun[] = []
  let end = -1
  for (let left = reader.varint(reader.left); left > 0; left--) {
    const head = reader.varint(BLOCKS_MAX * 2)
    const first = end + 1 + Math.floor(head / 2)
    const count = head % 2 === 0 ? 1 : reader.varint(BLOCKS_MAX) + 2
    end = first + count
    if (end > BLOCKS_MAX) throw reader.fault(`has blocks up to ${end}`)
    runs.push({ first, count })
  }
  return BlockSet.ofRuns(runs)
}

/** The same bytes as base64 without padding, for JSON. */
export function blockSetText(set: BlockSet): string {
  const out = new ByteWriter()
  writeBlockSet(set, out)
  let binary = ''
  for (let at = 0; at < out.length; at += 4096) binary += String.fromCharCode(...out.bytes.subarray(at, Math.min(at + 4096, out.length)))
  return btoa(binary).replace(/=+$/, '')
}

/** The inverse of {@link blockSetText}; undefined for what it does not write. */
function parseBlockSet(text: string): BlockSet | undefined {
  if (!/^[A-Za-z0-9+/]+$/.test(text) || text.length % 4 === 1) return undefined
  try {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
    const reader = new ByteReader(bytes, { code: 'blocks', name: 'a set of blocks' })
    const set = readBlockSet(reader)
    reader.end()
    // Bits of the last character may be set that no byte has.
    return blockSetText(set) === text ? set : undefined
  } catch (error) {
    if (error instanceof CorruptionError) return undefined
    throw error
  }
}

/** What is read as a BlockSet: a text that {@link blockSetText} wrote. */
export const blockSet: Schema<BlockSet> = v.pipe(
  v.custom<string>((value) => typeof value === 'string' && parseBlockSet(value) !== undefined, 'a set of blocks'), v.transform((text) => parseBlockSet(text)!))
