import type { OpSink, StoreOp } from './ops.ts'

/** The files below one folder, as a page store needs them. A port. Paths are relative to the folder; a disk that fails is an EnvironmentError file.*. */
export interface StoreFiles {
  /** Path of the folder, for error messages and for callers that ask the store where it is. */
  readonly root: string
  /** What messages call a file. */
  nameOf(path: string): string
  /** Whether there is such a folder or file. */
  exists(path: string): boolean
  /** Names in a folder; none if there is no such folder. */
  list(path: string): string[]
  /** Bytes of a file. */
  size(path: string): number
  /** The whole file, for small ones. */
  readFile(path: string): Uint8Array
  /** @returns bytes read, 0 too if there is no such file */
  readPart(path: string, at: number, into: Uint8Array): number
  /**
   * Length of a fork in blocks, as mdnblocks (md.c) counts: a segment that is not full is the last one, a partial block no block.
   * @param path of its first segment
   * @returns undefined if there is no file
   * @throws CorruptionError relation.segment for a segment that is too long
   */
  blocks(path: string): number | undefined
  /** @throws CorruptionError relation.short-read if the file ends before the page does */
  readPage(path: string, block: number, into: Uint8Array): void
  /** Applies an operation at once, outside of {@link commit}: for what no state names. */
  apply(op: StoreOp, data?: Uint8Array): void
  /** Copies the files of a folder whose names `keeps` accepts, and makes them durable. */
  copyFiles(from: string, to: string, keeps: (name: string) => boolean): void
  /** What was applied so far is durable when this returns. */
  sync(): void
  /** Applies all operations that `fill` adds, or none, whatever happens in between; they are durable when this returns. */
  commit(fill: (add: OpSink) => void): void
  /** Nothing is called afterwards; the folder may get another writer. */
  close(): void
}
