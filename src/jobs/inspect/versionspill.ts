import { join } from 'node:path'
import type { FollowedFile, KnownStatus, RemovedVersion, VersionSink } from '../../history/versionhistory.ts'
import { readToastChunk } from '../../tuple/toastchunk.ts'
import { NumberRows } from '../../history/numberrows.ts'
import { Spill } from '../../io/disk/spill.ts'

/*
 * A version in the temporary file:
 *
 *  0          8         16    24      28       30       32     34      35      36    37         40
 *  +----------+---------+-----+-------+--------+--------+------+-------+-------+-----+----------+-------
 *  | inserter | deleter | LSN | block | offset | length | file | ins.  | del.  | how | unproven | tuple…
 *  | f64      | f64     | f64 | u32   | u16    | u16    | u16  | status| status|     |          |
 *  +----------+---------+-----+-------+--------+--------+------+-------+-------+-----+----------+-------
 */
const HEADER = 40
/** Number of bytes of one read: most versions are shorter. */
const READ_AHEAD = 1024
const STATUSES: readonly KnownStatus[] = ['open', 'committed', 'aborted']
const HOW: readonly RemovedVersion['how'][] = ['removed', 'cut', 'dropped']

export interface SpilledVersion extends RemovedVersion {
  /** The whole tuple. */
  bytes: Uint8Array
}

/** What vanished, on disk; in memory 24 bytes per row version and 32 per TOAST chunk. */
export class VersionSpill implements VersionSink {
  private readonly files: readonly FollowedFile[]
  private readonly versionSpill: Spill
  private readonly chunkSpill: Spill
  /** File and block in one, offset, position. */
  private readonly versions = new NumberRows(3)
  /** Value id, sequence number, position, length. */
  private readonly chunks = new NumberRows(4)
  private readonly header = new Uint8Array(HEADER)
  private readonly view = new DataView(this.header.buffer)
  private readonly onAttributes: VersionSink['attributes']

  /** @param folder an empty one, for the temporary files */
  constructor(folder: string, files: readonly FollowedFile[], onAttributes: VersionSink['attributes']) {
    this.files = files
    this.versionSpill = new Spill(join(folder, 'versions'))
    this.chunkSpill = new Spill(join(folder, 'chunks'))
    this.onAttributes = onAttributes
  }

  version(removed: RemovedVersion, bytes: Uint8Array, start: number, length: number): void {
    const { header, view, versionSpill } = this
    const file = this.files.indexOf(removed.file)
    view.setFloat64(0, removed.inserter, true)
    view.setFloat64(8, removed.deleter, true)
    view.setFloat64(16, removed.lsn, true)
    view.setUint32(24, removed.block, true)
    view.setUint16(28, removed.offset, true)
    view.setUint16(30, length, true)
    view.setUint16(32, file, true)
    header[34] = STATUSES.indexOf(removed.inserterStatus)
    header[35] = STATUSES.indexOf(removed.deleterStatus)
    header[36] = HOW.indexOf(removed.how)
    header[37] = removed.unproven ? 1 : 0
    this.versions.add(file * 0x100000000 + removed.block, removed.offset, versionSpill.position)
    versionSpill.add(header, 0, HEADER)
    versionSpill.add(bytes, start, start + length)
  }

  chunk(bytes: Uint8Array, start: number, length: number): void {
    const chunk = readToastChunk(bytes, start, length)
    if (chunk === undefined) return
    this.chunks.add(chunk.valueId, chunk.seq, this.chunkSpill.position, chunk.end - chunk.start)
    this.chunkSpill.add(bytes, chunk.start, chunk.end)
  }

  attributes(page: Uint8Array, mayBeTorn: boolean): void {
    this.onAttributes(page, mayBeTorn)
  }

  /** Call this after the last version. */
  finish(): void {
    this.versions.sort(2)
    this.chunks.sort(2)
  }

  /** The versions that vanished from a file, by address, those of one address in the order they went. */
  *versionsOf(file: FollowedFile): Generator<SpilledVersion> {
    const { versions, versionSpill } = this
    const index = this.files.indexOf(file)
    const bytes = new Uint8Array(READ_AHEAD)
    const view = new DataView(bytes.buffer)
    for (let row = versions.first(index * 0x100000000); row < versions.count && versions.cell(row, 0) < (index + 1) * 0x100000000; row++) {
      const position = versions.cell(row, 2)
      versionSpill.read(position, bytes, HEADER)
      const end = HEADER + view.getUint16(30, true)
      let tuple = bytes.slice(HEADER, end)
      if (end > READ_AHEAD) {
        tuple = new Uint8Array(end - HEADER)
        versionSpill.read(position + HEADER, tuple)
      }
      yield {
        file, block: view.getUint32(24, true), offset: view.getUint16(28, true), inserter: view.getFloat64(0, true), deleter: view.getFloat64(8, true),
        inserterStatus: STATUSES[bytes[34]!]!, deleterStatus: STATUSES[bytes[35]!]!, how: HOW[bytes[36]!]!, lsn: view.getFloat64(16, true),
        unproven: bytes[37] === 1, bytes: tuple,
      }
    }
  }

  /** How many chunks of a value vanished; one that a rewrite copied counts again. */
  chunkCount(valueId: number): number {
    return this.chunks.first(valueId + 1) - this.chunks.first(valueId)
  }

  /** The chunks of a value that vanished. */
  *chunksOf(valueId: number): Generator<{ seq: number; bytes: Uint8Array }> {
    const { chunks } = this
    for (let row = chunks.first(valueId); row < chunks.count && chunks.cell(row, 0) === valueId; row++) {
      const bytes = new Uint8Array(chunks.cell(row, 3))
      this.chunkSpill.read(chunks.cell(row, 2), bytes)
      yield { seq: chunks.cell(row, 1), bytes }
    }
  }

  close(): void {
    this.versionSpill.close()
    this.chunkSpill.close()
  }
}
