/** One file of a result, front to back. */
export interface ResultFile {
  /** The bytes are taken before the promise is fulfilled. */
  write(bytes: Uint8Array): Promise<void>
  finish(): Promise<unknown>
  abort(): Promise<void>
}

/** Where a result goes: a folder or one file, on a disk or in an object store. Nothing has a final name there before it is whole. */
export interface ResultPlace {
  /** How many files may be written at the same time. */
  readonly openMax: number
  /** A new file. @param path below the folder, `a=1/part-00000.parquet`; for a place that is one file it does not matter */
  file(path: string): Promise<ResultFile>
  /** All files are finished. */
  finish(): Promise<void>
  /** Removes what was written. */
  abandon(): Promise<void>
}
